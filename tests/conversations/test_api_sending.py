"""Sending: a message over the whole path to a provider over real HTTP, and back."""

from __future__ import annotations

import hashlib
import json

import pytest

from chatbot.core.db import db_call
from conversations.models import Message
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import TERMINAL, text_of

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_answer_streams_and_is_kept(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(text="Hello from the model, in several words.")
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi there")
    events = f"/generations/{frames[0].data['generationId']}/events"
    # No cache on the way keeps what was said, and no proxy gathers it.
    again = await api.call("get", events)
    assert (again["Cache-Control"], again["X-Accel-Buffering"]) == ("no-store", "no")

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
    # What else was said in its place is told by a page only.
    assert kept["messages"][1] == {**frames[-1].data["message"], "siblings": []}
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


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"status": 400}, "provider_rejected"),
        ({"cut_after": 1}, "stream_broken"),
        ({"end_after": 1}, "stream_broken"),
        ({"malformed_after": 1}, "stream_broken"),
        ({"error_event_after": 1}, "stream_broken"),
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
    assert await db_call(Message.objects.filter(conversation_id=conversation).count) == 2

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
    assert await db_call(Message.objects.filter(conversation_id=conversation).count) == 3


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
