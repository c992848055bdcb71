"""The HTTP door, over the whole path: API, database, worker, and a provider over real HTTP."""

from __future__ import annotations

import hashlib
import json
from contextlib import aclosing
from uuid import UUID, uuid4

import pytest
from django.test import AsyncClient

from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from conversations.eventlog import EventLog, StreamKey
from conversations.models import Generation, Message
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.factories import make_person
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import TERMINAL, Frame, text_of

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_answer_streams_and_is_kept(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(text="Hello from the model, in several words.")
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi there")

    assert frames[0].event == "started"
    assert frames[-1].event == "done"
    assert [frame.event for frame in frames if frame.event in TERMINAL] == ["done"]
    text = text_of(frames)
    assert text == "Hello from the model, in several words."
    assert frames[-1].data["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert frames[-1].data["stopReason"] == "end_turn"
    assert frames[-1].data["usage"]["outputTokens"] > 0
    ids = [tuple(map(int, frame.id.split("-"))) for frame in frames]
    assert ids == sorted(set(ids))

    kept = await api.read(conversation)
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"]
    assert kept["messages"][1]["content"] == text
    assert kept["messages"][1] == frames[-1].data["message"]
    assert kept["title"] == "Hi there"
    assert kept["activeGeneration"] is None


async def test_the_second_prompt_carries_the_first_exchange(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation(systemPrompt="Speak like a sailor.")
    provider.script(text="Ahoy")
    await api.send(conversation, "My name is Ada")
    await api.send(conversation, "What is my name?")

    sent = provider.requests()[-1]
    body = json.loads(sent["raw"])
    assert "Speak like a sailor." in json.dumps(body["system"])
    said = [(turn["role"], _text(turn)) for turn in body["messages"]]
    assert said == [("user", "My name is Ada"), ("assistant", "Ahoy"), ("user", "What is my name?")]


def _text(turn: dict[str, object]) -> str:
    content = turn["content"]
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return "".join(block["text"] for block in content)


async def test_a_reader_that_leaves_and_resumes_gets_exactly_the_rest(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": [f"{n} " for n in range(12)], "hold_after": 5})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if text_of(seen).startswith("0 1 2 "):
                break
    generation = seen[0].data["generationId"]
    provider.release()

    last = {"Last-Event-ID": seen[-1].id}
    events = f"/generations/{generation}/events"
    rest = [frame async for frame in api.stream("get", events, **last)]
    assert text_of(seen + rest) == "".join(f"{n} " for n in range(12))
    assert rest[-1].event == "done"
    assert all(frame.event != "snapshot" for frame in rest)


async def test_an_answer_finishes_though_nobody_listens(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"text": "Nobody heard this", "hold_after": 1})
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Anyone?"})) as frames:
        started = await anext(frames)
    provider.release()
    events = f"/generations/{started.data['generationId']}/events"
    frames_later = [frame async for frame in api.stream("get", events)]
    assert text_of(frames_later) == "Nobody heard this"
    assert (await api.read(conversation))["messages"][1]["content"] == "Nobody heard this"


async def test_a_resume_at_the_end_has_nothing_more(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    events = f"/generations/{frames[0].data['generationId']}/events"
    response = await api.call("get", events, **{"Last-Event-ID": frames[-1].id})
    assert response.status_code == 204


def key_of(conversation: str, frames: list[Frame]) -> StreamKey:
    return StreamKey(UUID(conversation), UUID(frames[0].data["generationId"]))


async def test_after_the_log_is_gone_a_reader_gets_a_snapshot_and_the_end(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(text="Kept for long")
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    await event_log.delete(key_of(conversation, frames))
    events = f"/generations/{frames[0].data['generationId']}/events"
    for after in (None, frames[1].id):
        headers = {"Last-Event-ID": after} if after else {}
        again = [frame async for frame in api.stream("get", events, **headers)]
        assert [frame.event for frame in again] == ["snapshot", "done"]
        assert text_of(again) == "Kept for long"
        assert again[-1].id == frames[-1].id


async def test_stop_keeps_the_text_so_far_and_closes_the_provider(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two ", "three "], "hold_after": 2})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if text_of(seen) == "one two " and frame.event == "delta":
                generation = seen[0].data["generationId"]
                response = await api.call("post", f"/generations/{generation}/stop")
                assert response.status_code == 202
    assert seen[-1].event == "stopped"
    assert seen[-1].data["message"]["content"] == "one two "
    assert seen[-1].data["message"]["status"] == "stopped"
    provider.wait_until_closed()


async def test_a_queued_answer_can_be_stopped(
    api: ApiClient, models: None, event_log: object
) -> None:
    conversation = await api.new_conversation()
    reference = await api.enqueue(conversation, "Never mind")
    await api.call("post", f"/generations/{reference['generationId']}/stop")
    events = f"/generations/{reference['generationId']}/events"
    frames = [frame async for frame in api.stream("get", events)]
    assert [frame.event for frame in frames] == ["snapshot", "stopped"]


async def test_the_same_key_returns_the_same_answer(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    key = {"Idempotency-Key": "send-1"}
    first = await api.send(conversation, "Once", **key)
    second = await api.send(conversation, "Once", **key)
    assert first[0].data["generationId"] == second[0].data["generationId"]
    assert text_of(first) == text_of(second)
    assert len(provider.requests()) == 1
    assert await Message.objects.filter(conversation_id=conversation).acount() == 2

    path = f"/conversations/{conversation}/messages"
    other = await api.call("post", path, {"content": "Twice"}, **key)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "idempotency_mismatch"


async def test_a_second_send_while_an_answer_is_written_is_refused(
    api: ApiClient, models: None, event_log: object
) -> None:
    conversation = await api.new_conversation()
    reference = await api.enqueue(conversation, "First")
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "Second"})
    assert response.status_code == 409
    error = response.json()["error"]
    assert error["code"] == "generation_active"
    assert error["detail"]["generationId"] == reference["generationId"]


async def test_regenerating_keeps_the_old_answer_as_a_branch(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    provider.script({"text": "first"}, {"text": "second"})
    await api.send(conversation, "Try")
    path = f"/conversations/{conversation}/messages/2/regenerate"
    frames = [frame async for frame in api.stream("post", path)]
    assert text_of(frames) == "second"
    shown = (await api.read(conversation))["messages"]
    assert [message["content"] for message in shown] == ["Try", "second"]
    assert await Message.objects.filter(conversation_id=conversation).acount() == 3


async def test_an_edit_starts_a_branch_from_an_earlier_answer(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    for question in ("one", "two"):
        await api.send(conversation, question)
    path = f"/conversations/{conversation}/messages"
    edits = (
        {"content": "two, again", "parentSeq": 2},
        {"content": "one, again", "parentSeq": None},
    )
    for edit in edits:
        _ = [frame async for frame in api.stream("post", path, edit)]
    shown = (await api.read(conversation))["messages"]
    assert [m["content"] for m in shown if m["role"] == "user"] == ["one, again"]
    assert len(json.loads(provider.requests()[-2]["raw"])["messages"]) == 3
    assert len(json.loads(provider.requests()[-1]["raw"])["messages"]) == 1


async def test_a_parent_that_is_no_answer_here_is_refused(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    await api.send(conversation, "one")
    path = f"/conversations/{conversation}/messages"
    for parent in (1, 99):
        response = await api.call("post", path, {"content": "x", "parentSeq": parent})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_parent"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"status": 400}, "provider_rejected"),
        ({"cut_after": 3}, "stream_broken"),
        ({"end_after": 3}, "stream_broken"),
        ({"malformed_after": 3}, "stream_broken"),
        ({"error_event_after": 3}, "stream_broken"),
    ],
)
async def test_a_provider_failure_ends_in_failed_and_keeps_the_text(
    api: ApiClient,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    script: dict[str, object],
    code: str,
) -> None:
    provider.script(chunks=["a ", "b ", "c ", "d "], **script)
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    assert frames[-1].event == "failed"
    assert frames[-1].data["error"]["code"] == code
    answer = (await api.read(conversation))["messages"][1]
    assert answer["status"] == "failed"
    assert answer["content"] == text_of(frames)
    assert answer["error"] == frames[-1].data["error"]


async def test_a_log_lost_mid_answer_goes_on_with_a_snapshot(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two ", "three ", "four"], "hold_after": 2})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if text_of(seen) == "one two ":
                break
    await event_log.delete(key_of(conversation, seen))
    provider.release()
    events = f"/generations/{seen[0].data['generationId']}/events"
    rest = [f async for f in api.stream("get", events, **{"Last-Event-ID": seen[-1].id})]
    assert text_of(seen + rest) == "one two three four"
    assert rest[-1].event == "done"
    assert rest[-1].id.startswith("2-")


# --- what people may not do -------------------------------------------------------------------


async def test_what_belongs_to_others_is_not_there(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Mine")
    other = ApiClient(await db_call(lambda: create_token(make_person())))
    generation = frames[0].data["generationId"]
    attempts = [
        ("get", f"/conversations/{conversation}", None),
        ("patch", f"/conversations/{conversation}", {"title": "x"}),
        ("delete", f"/conversations/{conversation}", None),
        ("post", f"/conversations/{conversation}/messages", {"content": "x"}),
        ("post", f"/conversations/{conversation}/messages/2/regenerate", {}),
        ("put", f"/conversations/{conversation}/messages/2/feedback", {"rating": "up"}),
        ("get", f"/generations/{generation}/events", None),
        ("post", f"/generations/{generation}/stop", None),
    ]
    for method, path, body in attempts:
        response = await other.call(method, path, body)
        assert response.status_code == 404, (method, path, response.status_code)
    assert (await other.call("get", "/conversations")).json()["items"] == []


async def test_without_a_sign_in_nothing_is_answered(db: None) -> None:
    client = AsyncClient()
    for path in ("/conversations", "/me", "/models", f"/generations/{uuid4()}/events"):
        response = await client.get(f"/api/v1{path}")
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "unauthenticated"


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b'{"content": NaN}',
    b'{"content": "\\ud800"}',
    b'{"content": "\\u0000"}',
    b'{"content": "\xff\xfe"}',
    b'{"content": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"content": ' + b"9" * 5_000 + b"}",
    json.dumps({"content": "x" * 32_001}).encode(),
    b'{"content": "ok", "extra": 1}',
    b'{"content": "ok", "parentSeq": 99999999999999999999}',
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_a_bad_body_is_a_400_and_loses_nothing(api: ApiClient, body: bytes) -> None:
    conversation = await api.new_conversation()
    response = await api.call("post", f"/conversations/{conversation}/messages", body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"
    assert await Message.objects.acount() == 0


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "cursor=%00", "cursor=abc", "q=%00", "cursor=" + "A" * 300],
)
async def test_a_bad_query_is_a_400(api: ApiClient, query: str) -> None:
    response = await api.call("get", f"/conversations?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["code"] in {"invalid_request", "invalid_cursor"}


@pytest.mark.parametrize("key", ["", "with space", "ü", "x" * 201])
async def test_a_bad_idempotency_key_is_a_400(api: ApiClient, key: str) -> None:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "x"}, **{"Idempotency-Key": key})
    assert response.status_code == 400


async def test_a_bad_cursor_is_a_400(api: ApiClient, worker: GenerationWorker) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    events = f"/generations/{frames[0].data['generationId']}/events"
    for cursor in ("nonsense", "99-1"):
        response = await api.call("get", events, **{"Last-Event-ID": cursor})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_cursor"


async def test_unknown_addresses_and_models_are_typed_errors(api: ApiClient, models: None) -> None:
    refused = await api.call("put", "/conversations", {})
    assert refused.status_code == 405
    assert refused.json()["error"]["code"] == "method_not_allowed"
    assert "GET" in refused["Allow"]
    assert (await api.call("get", "/nothing")).json()["error"]["code"] == "not_found"
    assert (await api.call("get", f"/conversations/{uuid4()}")).json()["error"]["code"] == (
        "conversation_not_found"
    )
    response = await api.call("post", "/conversations", {"model": "no-such-model"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unknown_model"


async def test_a_message_beyond_the_window_is_refused_with_its_size(
    api: ApiClient, models: None
) -> None:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "漢" * 32_000})
    assert response.status_code == 413
    error = response.json()["error"]
    assert error["code"] == "message_too_long"
    assert error["detail"]["tokens"] > error["detail"]["limit"]


async def test_a_spent_budget_is_a_402_that_says_when_it_resets(
    api: ApiClient, user: User, models: None
) -> None:
    await User.objects.filter(pk=user.pk).aupdate(monthly_token_budget=10)
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "Hi"})
    assert response.status_code == 402
    assert response.json()["error"]["detail"]["resetsAt"]
    assert await Message.objects.acount() == 0


async def test_too_many_sends_are_a_429_with_a_time(
    api: ApiClient, worker: GenerationWorker, settings: object
) -> None:
    settings.SENDS_PER_MINUTE = {"free": 1, "pro": 1}  # type: ignore[attr-defined]
    conversation = await api.new_conversation()
    key = {"Idempotency-Key": "only"}
    await api.send(conversation, "one", **key)
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "two"})
    assert response.status_code == 429
    assert response.json()["error"]["retryAfter"] >= 1
    assert int(response["Retry-After"]) >= 1
    # A repeat is answered all the same: it was counted already.
    assert (await api.send(conversation, "one", **key))[-1].event == "done"


# --- the rest of the contract -----------------------------------------------------------------


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


async def test_me_tells_plan_rate_and_budget(api: ApiClient, worker: GenerationWorker) -> None:
    before = (await api.call("get", "/me")).json()
    conversation = await api.new_conversation()
    await api.send(conversation, "Hi")
    after = (await api.call("get", "/me")).json()
    assert after["plan"] == "free"
    assert after["rateLimitRemaining"] == before["rateLimitRemaining"] - 1
    generation = await Generation.objects.aget()
    spent = generation.input_tokens + generation.cached_tokens + generation.output_tokens
    assert after["budget"]["spent"] == spent > 0
    assert after["budget"]["reserved"] == 0


async def test_custom_instructions_reach_the_model(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    changed = await api.call("patch", "/me", {"customInstructions": "Answer in French."})
    assert changed.json()["customInstructions"] == "Answer in French."
    await api.send(await api.new_conversation(), "Hi")
    assert "Answer in French." in provider.requests()[-1]["raw"]


async def test_models_are_listed_with_a_default(api: ApiClient, models: None) -> None:
    listed = (await api.call("get", "/models")).json()
    assert listed["default"] in [item["name"] for item in listed["items"]]


async def test_everything_of_mine_can_be_exported_and_erased(
    api: ApiClient, user: User, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(text="An answer to keep")
    conversation = await api.new_conversation()
    await api.send(conversation, "A question to keep")
    response = await api.call("get", "/me/export")
    document = json.loads(b"".join([chunk async for chunk in response]))
    said = [message["content"] for message in document["conversations"][0]["messages"]]
    assert said == ["A question to keep", "An answer to keep"]
    assert document["user"]["email"] == user.email

    assert (await api.call("delete", "/me")).status_code == 204
    assert (await api.call("get", "/me")).status_code == 401
    assert not await Message.objects.aexists()
    assert not await User.objects.filter(pk=user.pk).aexists()


async def test_the_documentation_is_there(api: ApiClient) -> None:
    assert (await api.http.get("/api/v1/docs")).status_code == 200
    schema = (await api.http.get("/api/v1/openapi.json")).json()
    assert "/api/v1/conversations/{conversation_id}/messages" in schema["paths"]


async def test_a_reader_of_a_deleted_conversation_comes_to_an_end(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two "], "hold_after": 1})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if frame.event == "delta":
                await api.call("delete", f"/conversations/{conversation}")
    assert seen[-1].event == "delta"
    provider.wait_until_closed()
    assert not await event_log.exists(key_of(conversation, seen))
    events = f"/generations/{seen[0].data['generationId']}/events"
    assert (await api.call("get", events)).status_code == 404
