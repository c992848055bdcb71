"""What clumsy and hostile use has broken before."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from chatbot.accounts.budgets import read_budget
from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.eventlog import EventLog
from conversations.models import Conversation, Generation, Message, State
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


async def test_deleting_in_the_middle_of_an_answer_returns_the_reservation(
    api: ApiClient, user: User, models: None, event_log: EventLog
) -> None:
    conversation = await api.new_conversation()
    await api.enqueue(conversation, "Never mind")
    assert (await db_call(read_budget, user, now=timezone.now())).reserved > 0
    await api.call("delete", f"/conversations/{conversation}")
    budget = await db_call(read_budget, user, now=timezone.now())
    assert (budget.reserved, budget.spent) == (0, 0)


async def test_a_cursor_beyond_the_end_is_refused(api: ApiClient, worker: GenerationWorker) -> None:
    frames = await api.send(await api.new_conversation(), "Hi")
    events = f"/generations/{frames[0].data['generationId']}/events"
    response = await api.call("get", f"{events}?after=1-9999")
    assert response.json()["error"]["code"] == "invalid_cursor"


async def test_one_key_for_two_regenerations_is_refused(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    for question in ("one", "two"):
        await api.send(conversation, question)
    key = {"Idempotency-Key": "again"}
    path = f"/conversations/{conversation}/messages"
    _ = [frame async for frame in api.stream("post", f"{path}/2/regenerate", **key)]
    response = await api.call("post", f"{path}/4/regenerate", **key)
    assert response.json()["error"]["code"] == "idempotency_mismatch"


async def test_a_null_model_and_none_are_the_same_request(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    path = f"/conversations/{await api.new_conversation()}/messages"
    key = {"Idempotency-Key": "same"}
    for body in ({"content": "Hi"}, {"content": "Hi", "model": None}):
        _ = [frame async for frame in api.stream("post", path, body, **key)]
    assert len(provider.requests()) == 1


async def test_pages_after_real_answers_do_not_repeat(
    api: ApiClient, worker: GenerationWorker
) -> None:
    made = []
    for _ in range(3):
        made.append(await api.new_conversation())
        await api.send(made[-1], "Hi")
    seen: list[str] = []
    page: dict[str, Any] = {"nextCursor": ""}
    while page["nextCursor"] is not None and len(seen) < 9:
        cursor = page["nextCursor"]
        page = (await api.call("get", f"/conversations?limit=1&cursor={cursor}")).json()
        seen += [item["conversationId"] for item in page["items"]]
    assert seen == made[::-1]


async def test_regenerating_a_question_too_long_for_the_model_is_refused(
    api: ApiClient, user: User, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    await api.send(conversation, "Hi")
    question = Message.objects.filter(conversation_id=conversation, seq=1)
    await db_call(question.update, token_count=100_000)
    path = f"/conversations/{conversation}/messages/2/regenerate"
    response = await api.call("post", path)
    assert response.json()["error"]["code"] == "message_too_long"
    assert (await db_call(read_budget, user, now=timezone.now())).reserved == 0


async def test_a_system_prompt_that_leaves_no_room_is_named(api: ApiClient, models: None) -> None:
    conversation = await api.new_conversation(systemPrompt="漢" * 8_000)
    path = f"/conversations/{conversation}/messages"
    error = (await api.call("post", path, {"content": "Hi"})).json()["error"]
    assert error["code"] == "message_too_long"
    assert "system prompt" in error["message"]
    assert error["detail"]["limit"] == 0


async def test_a_key_lost_while_an_answer_waits_ends_it_as_failed(
    api: ApiClient, user: User, models: None, event_log: EventLog
) -> None:
    conversation = await api.new_conversation()
    reference = await api.enqueue(conversation, "Hi")
    await db_call(Conversation.objects.filter(pk=conversation).update, wrapped_key=b"lost")
    worker = GenerationWorker(owner="test", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="worker")
    events = f"/generations/{reference['generationId']}/events"
    frames = [frame async for frame in api.stream("get", events)]
    assert frames[-1].data["error"]["code"] == "content_unavailable"
    assert (await db_call(Generation.objects.get)).state == State.FAILED
    assert (await db_call(read_budget, user, now=timezone.now())).reserved == 0
    await worker.drain(grace_s=1)
    await task


async def test_a_providers_own_words_do_not_reach_the_log(
    api: ApiClient,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.script(status=400, error_message="you said: my secret diary")
    frames = await api.send(await api.new_conversation(), "my secret diary")
    assert frames[-1].event == "failed"
    assert "provider_rejected" in caplog.text
    assert "diary" not in caplog.text


@pytest.mark.parametrize("body", [{"content": "x", "parent_seq": 2}, {"content": "\u200b\u2060 "}])
async def test_what_looks_like_a_message_and_is_none_is_refused(
    api: ApiClient, models: None, body: dict[str, Any]
) -> None:
    path = f"/conversations/{await api.new_conversation()}/messages"
    assert (await api.call("post", path, body)).status_code == 400


async def test_a_cell_of_another_type_reads_as_unavailable(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    await api.send(conversation, "Hi")
    damaged = Message.objects.filter(conversation_id=conversation, seq=2)
    await db_call(damaged.update, content_sealed=b"")
    assert (await api.read(conversation))["messages"][1]["status"] == "unavailable"
    response = await api.call("get", "/me/export")
    assert b"unavailable" in b"".join([chunk async for chunk in response])
