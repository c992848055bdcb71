"""Conversations: listing, paging, changing, deleting, and opinions of their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient

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
