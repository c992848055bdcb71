from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.claims import MAX_CLAIMS, claim_lapsed
from conversations.eventlog import EventLog, LogAway, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import START, Cursor, Event, EventType
from conversations.models import Generation, Message, State, Status
from conversations.reading import open_reading
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.conversations.logs import find_key, follow
from tests.conversations.rows import queue_generation
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


async def state_of(generation_id: str) -> str:
    return (await db_call(Generation.objects.get, pk=generation_id)).state


async def follow_until(log: EventLog, reference: dict[str, str], kind: EventType) -> None:
    key = await db_call(find_key, reference["generationId"])
    async for batch in follow(log, key, START, idle_s=5):
        if any(event.type is kind for event in batch):
            return


async def test_work_that_was_never_announced_is_found(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    reference = await api.enqueue(await api.new_conversation(), "Nobody rang")
    worker = GenerationWorker(owner="late", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="late worker")
    await follow_until(event_log, reference, EventType.DONE)
    assert await state_of(reference["generationId"]) == State.COMPLETED
    await worker.drain(grace_s=1)
    await task


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's columns hold anything")
async def test_an_answer_with_a_figure_that_the_database_refuses_fails_and_is_not_asked_again(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(text="All of it")
    reference = await api.enqueue(await api.new_conversation(), "Hi")
    # So long ago that the milliseconds to its first text are more than an integer holds.
    long_ago = timezone.now() - timedelta(days=40)
    await db_call(Generation.objects.update, created=long_ago)
    worker = GenerationWorker(owner="test", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="worker")
    async with asyncio.timeout(10):
        await follow_until(event_log, reference, EventType.FAILED)
    await worker.drain(grace_s=1)
    await task
    generation = await db_call(Generation.objects.get)
    assert (generation.state, generation.error_code) == (State.FAILED, "internal_error")
    assert (await api.read(str(generation.conversation_id)))["messages"][1][
        "content"
    ] == "All of it"
    assert len(provider.requests()) == 1


async def test_draining_hands_over_what_does_not_finish(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["half ", "more"], "hold_after": 1}, {"text": "half whole"})
    first = GenerationWorker(owner="first", concurrency=1, log=event_log)
    task = spawn(first.run(), name="first worker")
    reference = await api.enqueue(await api.new_conversation(), "Hi")
    await follow_until(event_log, reference, EventType.DELTA)
    await first.drain(grace_s=0)
    await task
    assert await state_of(reference["generationId"]) == State.QUEUED

    second = GenerationWorker(owner="second", concurrency=1, log=event_log)
    task = spawn(second.run(), name="second worker")
    await follow_until(event_log, reference, EventType.DONE)
    await second.drain(grace_s=1)
    await task
    answer = await db_call(Message.objects.get, role="assistant")
    assert answer.status == Status.COMPLETE
    assert (await db_call(Generation.objects.get)).attempt == 2


async def test_draining_lets_running_answers_finish(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"text": "to the end", "hold_after": 1})
    worker = GenerationWorker(owner="first", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="worker")
    reference = await api.enqueue(await api.new_conversation(), "Hi")
    await follow_until(event_log, reference, EventType.DELTA)
    draining = spawn(worker.drain(grace_s=30), name="drain")
    provider.release()
    await draining
    await task
    assert await state_of(reference["generationId"]) == State.COMPLETED


async def test_a_draining_worker_keeps_its_leases_and_hears_a_stop(
    api: ApiClient,
    models: None,
    event_log: EventLog,
    provider: ScriptedProvider,
    settings: Settings,
) -> None:
    settings.GENERATION_LEASE_S = 0.6
    provider.script({"text": "held for longer than a lease", "hold_after": 1})
    draining = GenerationWorker(owner="draining", concurrency=1, log=event_log)
    task = spawn(draining.run(), name="draining worker")
    reference = await api.enqueue(await api.new_conversation(), "Hi")
    await follow_until(event_log, reference, EventType.DELTA)
    drain = spawn(draining.drain(grace_s=60), name="drain")
    rows = Generation.objects.filter(pk=reference["generationId"])
    first = (await db_call(rows.get)).lease_until
    # Two renewals later than any that could have been under way.
    renewed = {first}
    while len(renewed) < 4:
        await asyncio.sleep(0.05)
        renewed.add((await db_call(rows.get)).lease_until)
    assert await db_call(claim_lapsed, "other", 1) == []
    await api.call("post", f"/generations/{reference['generationId']}/stop")
    await drain
    await task
    assert await state_of(reference["generationId"]) == State.STOPPED


async def test_those_who_wait_are_told_their_place(
    api: ApiClient, user: object, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"text": "first one", "hold_after": 1})
    worker = GenerationWorker(owner="narrow", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="narrow worker")
    running = await api.enqueue(await api.new_conversation(), "First")
    await follow_until(event_log, running, EventType.DELTA)
    waiting = [
        await api.enqueue(await api.new_conversation(), f"Waiting {number}") for number in range(2)
    ]
    for position, reference in enumerate(waiting, start=1):
        reading = await open_reading(user, UUID(reference["generationId"]))  # type: ignore[arg-type]
        batch = await anext(reading.batches())
        assert batch[0].type is EventType.QUEUED
        assert batch[0].cursor == Cursor(0, 1)
        assert batch[0].data["position"] == position
        assert batch[0].data["etaMs"] > 0
    provider.release()
    for reference in waiting:
        await follow_until(event_log, reference, EventType.DONE)
    await worker.drain(grace_s=1)
    await task


class SilentLog(MemoryEventLog):
    """As a Redis that swallows what it is asked for: no read ever ends."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = asyncio.Event()

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        self.is_asked.set()
        await asyncio.Event().wait()
        return []


async def test_a_log_that_swallows_everything_holds_up_no_claim_and_no_drain(
    api: ApiClient, models: None, provider: ScriptedProvider
) -> None:
    provider.script({"text": "first one", "hold_after": 1}, {"text": "second one"})
    log = SilentLog()
    worker = GenerationWorker(owner="narrow", concurrency=1, log=log)
    task = spawn(worker.run(), name="narrow worker")
    await api.enqueue(await api.new_conversation(), "First")
    await api.enqueue(await api.new_conversation(), "Second")
    async with asyncio.timeout(30):
        # The one that waits is about to be told so.
        await log.is_asked.wait()
        provider.release()
        completed = Generation.objects.filter(state=State.COMPLETED)
        while await db_call(completed.count) < 2:  # noqa: ASYNC110 - the database makes it so
            await asyncio.sleep(0.02)
        await worker.drain(grace_s=1)
        await task


class PartlyAwayLog(MemoryEventLog):
    """As a cluster that has lost the node of one log."""

    def __init__(self, away: StreamKey) -> None:
        super().__init__()
        self._away = away

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        if key == self._away:
            raise LogAway
        return await super().read(key, after)


async def test_an_abandoned_generation_without_its_log_keeps_no_other_from_its_end(
    user: User,
) -> None:
    rows = [await db_call(queue_generation, user, claims=MAX_CLAIMS) for _ in range(3)]
    log = PartlyAwayLog(await db_call(find_key, rows[0].pk))
    worker = GenerationWorker(owner="reaper", concurrency=1, log=log)
    task = spawn(worker.run(), name="worker")
    async with asyncio.timeout(10):
        failed = Generation.objects.filter(state=State.FAILED)
        while await db_call(failed.count) < 2:  # noqa: ASYNC110 - the database makes it so
            await asyncio.sleep(0.02)
    assert await state_of(str(rows[0].pk)) == State.QUEUED
    await worker.drain(grace_s=0)
    await task


async def test_a_worker_whose_lease_was_taken_writes_nothing_more(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["first ", "stale"], "hold_after": 1}, {"text": "first fresh words"})
    stale = GenerationWorker(owner="stale", concurrency=1, log=event_log)
    task = spawn(stale.run(), name="stale worker")
    conversation = await api.new_conversation()
    reference = await api.enqueue(conversation, "Hi")
    await follow_until(event_log, reference, EventType.DELTA)
    # As after a pause longer than the lease: another worker takes over.
    rows = Generation.objects.filter(pk=reference["generationId"])
    await db_call(rows.update, state=State.QUEUED, lease_owner="")
    fresh = GenerationWorker(owner="fresh", concurrency=1, log=event_log)
    fresh_task = spawn(fresh.run(), name="fresh worker")
    await follow_until(event_log, reference, EventType.DONE)
    provider.release()
    await stale.drain(grace_s=30)
    await fresh.drain(grace_s=1)
    await task
    await fresh_task
    answer = (await api.read(conversation))["messages"][1]
    assert answer["content"] == "first fresh words"
    asked = provider.requests()[1]["body"]["messages"]
    assert asked[-1] == {"role": "assistant", "content": "first"}
    assert (await db_call(rows.get)).attempt == 2
