"""A worker keeps what it holds, and itself, through whatever its stores do to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from django.db import OperationalError, connection
from pytest_django import Settings

from chatbot.accounts.models import LedgerEntry, User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.claims import claim_lapsed, claim_waiting
from conversations.doorbell import STOPS
from conversations.eventlog import EventLog
from conversations.events import EventType
from conversations.leases import Leases
from conversations.models import Generation, State, Worker
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.conversations.refusals import ENDS, RENEWALS, REPORTS, refusing
from tests.conversations.rows import queue_generation
from tests.conversations.test_generations import let_lease_lapse
from tests.conversations.test_worker import follow_until
from tests.fakes.provider_process import ScriptedProvider
from tests.stores import Valkey

pytestmark = pytest.mark.django_db(transaction=True)

ONLY_POSTGRESQL = pytest.mark.skipif(connection.vendor == "sqlite", reason="has no such error")


@pytest_asyncio.fixture
async def worker(
    models: None, event_log: EventLog, provider: ScriptedProvider
) -> AsyncIterator[GenerationWorker]:
    """The only worker that there is."""
    worker = GenerationWorker(owner="only", concurrency=2, log=event_log)
    task = spawn(worker.run(), name="worker under test")
    yield worker
    await worker.drain(grace_s=0)
    await task


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - others make it so
            await asyncio.sleep(0.02)


async def test_leases_are_renewed_after_any_error_and_nobody_takes_over_from_itself(
    settings: Settings,
    api: ApiClient,
    worker: GenerationWorker,
    event_log: EventLog,
    provider: ScriptedProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.GENERATION_LEASE_S = 1.5
    provider.script({"chunks": ["held ", "to the end"], "hold_after": 1})
    reference = await api.enqueue(await api.new_conversation(), "Hi")
    await follow_until(event_log, reference, EventType.DELTA)
    rows = Generation.objects.filter(pk=reference["generationId"])
    async with refusing(RENEWALS):
        await until(lambda: caplog.text.count("were not renewed") > 8)
    before = (await db_call(rows.get)).lease_until
    async with asyncio.timeout(20):
        while (await db_call(rows.get)).lease_until == before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    provider.release()
    await follow_until(event_log, reference, EventType.DONE)
    generation = await db_call(rows.get)
    assert (generation.state, generation.attempt) == (State.COMPLETED, 1)
    assert len(provider.requests()) == 1


@ONLY_POSTGRESQL
async def test_an_answer_is_stored_when_the_database_takes_writes_again(
    api: ApiClient,
    worker: GenerationWorker,
    event_log: EventLog,
    provider: ScriptedProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.script({"text": "whole"})
    async with refusing(ENDS, state="25006"):
        reference = await api.enqueue(await api.new_conversation(), "Hi")
        await until(lambda: "trying again in" in caplog.text)
    await follow_until(event_log, reference, EventType.DONE)
    generation = await db_call(Generation.objects.get, pk=reference["generationId"])
    assert (generation.state, generation.attempt) == (State.COMPLETED, 1)
    assert len(provider.requests()) == 1


@ONLY_POSTGRESQL
async def test_an_answer_that_the_database_will_not_hold_is_charged_all_the_same(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"text": "whole"})
    async with refusing(ENDS, state="22003"):
        reference = await api.enqueue(await api.new_conversation(), "Hi")
        await follow_until(event_log, reference, EventType.FAILED)
    entry = await db_call(LedgerEntry.objects.get)
    assert (entry.ending, entry.is_metered) == ("failed", False)
    assert entry.output_tokens > 0


async def test_a_worker_that_cannot_report_itself_is_drained_all_the_same(
    models: None, event_log: EventLog
) -> None:
    worker = GenerationWorker(owner="unheard", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="worker")
    async with asyncio.timeout(20):
        while not await db_call(Worker.objects.exists):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    async with refusing(REPORTS):
        await worker.drain(grace_s=0)
        await task
    assert not await db_call(Worker.objects.exists)


@pytest.mark.redis
@pytest.mark.process
async def test_the_doorbell_is_heard_again_after_any_error(
    valkey: Valkey, models: None, event_log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    worker = GenerationWorker(owner="deaf", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="worker")
    with valkey.client() as client:

        def is_heard() -> bool:
            # It waits for work and for stops.
            return bool(client.info("clients")["blocked_clients"] >= 2)

        await until(is_heard)
        client.xadd(STOPS, {"g": "no identity"})
        await until(lambda: "doorbell is not heard" in caplog.text)
        await until(is_heard)
    await worker.drain(grace_s=0)
    await task


async def test_nothing_is_taken_over_until_others_could_renew_their_leases(
    settings: Settings,
) -> None:
    settings.GENERATION_LEASE_S = 1.5
    leases = Leases("one", {})
    assert await leases.may_take_over()
    leases.doubt()
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(20):
        while not await leases.may_take_over():  # noqa: ASYNC110 - time makes it so
            await asyncio.sleep(0.02)
    assert asyncio.get_running_loop().time() - began >= settings.GENERATION_LEASE_S / 3


def test_what_a_worker_writes_it_does_not_take_over_from_itself(user: User) -> None:
    generation = queue_generation(user)
    claim_waiting("one", 1)
    let_lease_lapse(generation)
    assert claim_lapsed("one", 1, but=[generation.pk]) == []
    assert len(claim_lapsed("one", 1)) == 1


def test_a_database_that_stood_still_does_not_say_who_is_dead(
    user: User, settings: Settings
) -> None:
    generation = queue_generation(user)
    claim_waiting("one", 1)
    let_lease_lapse(generation)
    # Any answer comes too late for such a lease.
    settings.GENERATION_LEASE_S = 0
    with pytest.raises(OperationalError):
        claim_lapsed("two", 1)
