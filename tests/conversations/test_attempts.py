"""What a worker that takes over makes of a log that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations import attempts
from conversations.claims import claim_waiting, hand_over, load_claimed
from conversations.eventlog import ticker
from conversations.eventlog.redis import RedisEventLog
from conversations.events import EventType, fold_text
from conversations.models import Generation, Message, Role, State, Status
from conversations.queries import read_answer
from conversations.runner import GenerationRun
from tests.conversations.gates import new_gate
from tests.conversations.logs import key_of, read_events
from tests.conversations.rows import put_generation, put_message
from tests.degraded.device import eventually
from tests.factories import make_conversation
from tests.stores import Valkey

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.redis,
    pytest.mark.process,
]

WITHIN_S = 20.0


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker, "FLUSH_S", 0.2)
    monkeypatch.setattr(attempts, "RETRY_S", 0.05)


@pytest.fixture
def frozen(valkey: Valkey) -> Iterator[Valkey]:
    """A Valkey that the test freezes; it is awake again afterwards."""
    yield valkey
    valkey.resume()


def queue_answer(user: User) -> Generation:
    conversation = make_conversation(user)
    put_message(conversation, 1, "Hi")
    answer = Message.objects.create(
        conversation=conversation, seq=2, parent_seq=1, role=Role.ASSISTANT, status=Status.PENDING
    )
    return put_generation(conversation, answer)


async def take_over_stopped(user: User, log: RedisEventLog) -> tuple[Generation, GenerationRun]:
    """Let one worker show some text and leave; return what the next one holds, to be stopped."""
    generation = await db_call(queue_answer, user)
    (first,) = await db_call(claim_waiting, "first", 1)
    writer = log.writer(key_of(generation), first.attempt)
    await writer.write(EventType.STARTED, {})
    await writer.write(EventType.DELTA, {"text": "one "})
    await writer.flush()
    await db_call(hand_over, first)
    await db_call(Generation.objects.update, stop_requested=True)
    (second,) = await db_call(claim_waiting, "second", 1)
    rows = await db_call(load_claimed, [second])
    return generation, GenerationRun(second, rows[generation.pk], log, new_gate())


async def stored(generation: Generation) -> tuple[str, str]:
    def read() -> tuple[str, str]:
        row = Generation.objects.select_related("conversation").get(pk=generation.pk)
        return row.state, read_answer(row)["content"]

    return await db_call(read)


async def test_a_stopped_answer_waits_for_its_log_and_keeps_its_text(
    user: User,
    models: None,
    redis_log: RedisEventLog,
    frozen: Valkey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    generation, run = await take_over_stopped(user, redis_log)
    frozen.pause()
    running = spawn(run.run(), name="second worker")
    await asyncio.to_thread(
        eventually, lambda: "waits for its log" in caplog.text, within_s=WITHIN_S
    )
    frozen.resume()
    async with asyncio.timeout(WITHIN_S):
        await running
    assert await stored(generation) == (State.STOPPED, "one ")
    assert fold_text(await read_events(redis_log, key_of(generation))) == "one "


async def test_a_stopped_answer_ends_in_time_when_its_log_does_not_come_back(
    user: User,
    models: None,
    redis_log: RedisEventLog,
    frozen: Valkey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "LOG_PATIENCE_S", 0.5)
    generation, run = await take_over_stopped(user, redis_log)
    frozen.pause()
    async with asyncio.timeout(WITHIN_S):
        await run.run()
    assert await stored(generation) == (State.STOPPED, "")
