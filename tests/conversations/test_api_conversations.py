"""Conversations: listing, paging, changing, deleting, and opinions of their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from conversations.tasks import index_messages
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.factories import make_person
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


async def test_conversations_page_newest_first(api: ApiClient, models: None) -> None:
    made = [await api.new_conversation(title=f"Number {n}") for n in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.call("get", f"/conversations?limit=3&cursor={cursor}")).json()
        seen += [item["conversationId"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = page["nextCursor"]
    assert seen == made[::-1]
    found = (await api.call("get", "/conversations?q=NUMBER 3")).json()["items"]
    assert [item["title"] for item in found] == ["Number 3"]


async def test_what_was_said_is_found_with_the_place_where(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(text="Herons wade in marshes.")
    conversation = await api.new_conversation(title="Birds")
    await api.send(conversation, "Who stands in the water?")
    await db_call(index_messages)
    [found] = (await api.call("get", "/conversations?q=marsh her")).json()["items"]
    assert found["conversationId"] == conversation
    answer = (await api.read(conversation))["messages"][1]
    assert found["match"] == {
        "seq": 2,
        "messageId": answer["messageId"],
        "role": "assistant",
        "createdAt": answer["createdAt"],
        "snippet": [
            {"text": "Herons", "isMatch": True},
            {"text": " wade in ", "isMatch": False},
            {"text": "marshes", "isMatch": True},
            {"text": ".", "isMatch": False},
        ],
    }
    await api.call("patch", f"/conversations/{conversation}", {"title": "Long-legged ones"})
    titles = [
        len((await api.call("get", f"/conversations?q={q}")).json()["items"])
        for q in ("birds", "legged")
    ]
    assert titles == [0, 1]
    assert (await api.call("get", "/conversations")).json()["items"][0]["match"] is None
    await api.call("delete", f"/conversations/{conversation}")
    assert (await api.call("get", "/conversations?q=heron")).json()["items"] == []


@pytest.mark.parametrize("q", ["%20", "?!", "%E2%80%8F%E2%80%8E", "%E2%80%8B", "%CC%81"])
async def test_a_search_for_nothing_is_an_empty_page(api: ApiClient, models: None, q: str) -> None:
    await api.new_conversation(title="Anything")
    page = await api.call("get", f"/conversations?q={q}")
    assert (page.status_code, page.json()) == (200, {"items": [], "nextCursor": None})


async def test_messages_page_backwards(api: ApiClient, worker: GenerationWorker) -> None:
    conversation = await api.new_conversation()
    for number in range(3):
        await api.send(conversation, f"question {number}")
    newest = (await api.call("get", f"/conversations/{conversation}?limit=4")).json()
    assert [message["seq"] for message in newest["messages"]] == [3, 4, 5, 6]
    older = (
        await api.call("get", f"/conversations/{conversation}?before={newest['nextCursor']}")
    ).json()
    assert [message["seq"] for message in older["messages"]] == [1, 2]
    assert older["nextCursor"] is None


async def test_a_conversation_can_be_changed_and_deleted(api: ApiClient, models: None) -> None:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}"
    changes = {"title": "Renamed", "pinned": True, "archived": True, "model": "smollm2-135m"}
    changed = (await api.call("patch", path, changes)).json()
    assert changed | changes == changed
    assert (await api.call("delete", path)).status_code == 204
    assert (await api.call("get", path)).status_code == 404


async def test_feedback_is_kept_and_withdrawn(api: ApiClient, worker: GenerationWorker) -> None:
    conversation = await api.new_conversation()
    await api.send(conversation, "Hi")
    path = f"/conversations/{conversation}/messages"
    given = {"rating": "down", "comment": "too short"}
    assert (await api.call("put", f"{path}/2/feedback", given)).status_code == 204
    assert (await api.read(conversation))["messages"][1]["feedback"] == given
    await api.call("put", f"{path}/2/feedback", {"rating": None})
    assert (await api.read(conversation))["messages"][1]["feedback"] is None
    refused = await api.call("put", f"{path}/1/feedback", given)
    assert refused.json()["error"]["code"] == "not_an_answer"


async def test_a_conversation_is_created_once_under_a_key(api: ApiClient, models: None) -> None:
    key = {"Idempotency-Key": "first-message"}

    async def create(**body: str) -> Any:
        return await api.call("post", "/conversations", body, **key)

    made = await create(title="Trains")
    assert made.status_code == 201
    async with asyncio.TaskGroup() as group:
        repeats = [group.create_task(create(title="Trains")) for _ in range(4)]
    for repeat in repeats:
        assert (repeat.result().status_code, repeat.result().json()) == (200, made.json())
    other = await create(title="Ships")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_mismatch")
    assert len((await api.call("get", "/conversations")).json()["items"]) == 1


async def test_conversations_created_at_once_under_a_key_are_one(
    api: ApiClient, models: None
) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(api.call("post", "/conversations", {}, **{"Idempotency-Key": "k"}))
            for _ in range(6)
        ]
    answers = [one.result() for one in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["conversationId"] for answer in answers}) == 1
    bad = await api.call("post", "/conversations", {}, **{"Idempotency-Key": "two words"})
    assert bad.status_code == 400


async def test_an_earlier_answer_is_shown_again_found_again_and_gone_on_from(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"text": "Herons."}, {"text": "Egrets."}, {"text": "Storks."})
    conversation = await api.new_conversation(title="Birds")
    path = f"/conversations/{conversation}"
    await api.send(conversation, "Who stands in the water?")
    async for _ in api.stream("post", f"{path}/messages/2/regenerate"):
        pass

    async def shown() -> list[str]:
        return [message["content"] for message in (await api.read(conversation))["messages"]]

    async def found(word: str) -> int:
        await db_call(index_messages)
        return len((await api.call("get", f"/conversations?q={word}")).json()["items"])

    assert (await api.read(conversation))["messages"][1]["siblings"] == [2, 3]
    assert (await found("herons"), await found("egrets")) == (0, 1)

    assert (await api.call("post", f"{path}/messages/2/show")).status_code == 204
    assert await shown() == ["Who stands in the water?", "Herons."]
    assert (await found("herons"), await found("egrets")) == (1, 0)
    await api.send(conversation, "And who else?")
    assert await shown() == ["Who stands in the water?", "Herons.", "And who else?", "Storks."]
    said = [turn["content"] for turn in provider.requests()[-1]["body"]["messages"]]
    assert "Egrets." not in str(said)

    assert (await api.call("post", f"{path}/messages/3/show")).status_code == 204
    assert await shown() == ["Who stands in the water?", "Egrets."]
    # From a message on, the newest that was said there comes with it.
    assert (await api.call("post", f"{path}/messages/2/show")).status_code == 204
    assert (await shown())[-1] == "Storks."


async def test_nothing_else_is_shown_while_an_answer_is_written_nor_by_others(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"text": "Herons."}, {"text": "Two words.", "hold_after": 1})
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}"
    await api.send(conversation, "Who stands in the water?")
    assert (await api.call("post", f"{path}/messages/7/show")).status_code == 404
    await api.enqueue(conversation, "And who else?")
    refused = await api.call("post", f"{path}/messages/2/show")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "generation_active"
    provider.release()
    stranger = ApiClient(await db_call(lambda: create_token(make_person())))
    assert (await stranger.call("post", f"{path}/messages/2/show")).status_code == 404


async def test_what_is_archived_is_listed_apart_until_somebody_goes_on_with_it(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(text="Herons.")
    kept = await api.new_conversation(title="Kept")
    away = [await api.new_conversation(title=f"Away {number}") for number in range(2)]
    for conversation in away:
        await api.call("patch", f"/conversations/{conversation}", {"archived": True})

    async def listed(parameters: str) -> list[str]:
        page = (await api.call("get", f"/conversations?{parameters}")).json()
        return [item["conversationId"] for item in page["items"]]

    assert await listed("limit=1") == [kept]
    assert await listed("archived=true") == away[::-1]
    assert set(await listed("q=away")) == set(away)
    await api.send(away[0], "Who stands in the water?")
    assert await listed("") == [away[0], kept]
    assert await listed("archived=true") == away[1:]
