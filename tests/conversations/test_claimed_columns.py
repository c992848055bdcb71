"""What a worker leaves out when it reads a claimed generation, it never reads later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from django.db.models import Model

from chatbot.accounts.instructions import write_instructions
from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.claims import claim_waiting, hand_over, load_claimed
from conversations.eventlog import EventLog
from conversations.events import EventType
from conversations.models import Generation, State
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.conversations.logs import find_key
from tests.conversations.rows import queue_generation
from tests.conversations.test_worker import follow_until
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def late_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fields that were left out of a row and read after all: a query for each."""
    found: list[str] = []
    refresh = Model.refresh_from_db

    def note(
        row: Model, using: str | None = None, fields: Iterable[str] | None = None, **more: Any
    ) -> None:
        names = list(fields or ())
        found.extend(f"{type(row).__name__}.{name}" for name in names)
        refresh(row, using, names or None, **more)

    monkeypatch.setattr(Model, "refresh_from_db", note)
    return found


@pytest.fixture
async def conversation(api: ApiClient, user: User) -> str:
    """One whose prompts hold everything that can be in them, with a turn behind it."""
    await db_call(write_instructions, user, "Be brief.")
    return await api.new_conversation(title="A title", systemPrompt="You are a poet.")


@pytest.fixture
async def started(event_log: EventLog, models: None) -> AsyncIterator[GenerationWorker]:
    worker = GenerationWorker(owner="only", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="only worker")
    yield worker
    await worker.drain(grace_s=5)
    await task


async def end_of(reference: dict[str, str]) -> Generation:
    return await db_call(Generation.objects.get, pk=reference["generationId"])


def test_a_field_that_was_left_out_and_is_read_is_noticed(
    user: User, late_reads: list[str]
) -> None:
    queue_generation(user)
    (row,) = load_claimed(claim_waiting("one", 1)).values()
    late_reads.clear()
    left_out = [
        (one, name)
        for one in (row, row.conversation, row.conversation.user)
        for name in sorted(one.get_deferred_fields())
    ]
    assert len(left_out) > 10
    for one, name in left_out:
        getattr(one, name)
    assert late_reads == [f"{type(one).__name__}.{name}" for one, name in left_out]


@pytest.mark.parametrize(
    ("course", "state", "attempts"),
    [
        pytest.param([{"text": "whole"}], State.COMPLETED, 1, id="completed"),
        pytest.param(
            [{"chunks": ["one ", "two"], "cut_after": 1}, {"chunks": ["one ", "two"]}],
            State.COMPLETED,
            1,
            id="taken up again",
        ),
        pytest.param([{"status": 400}], State.FAILED, 1, id="failed"),
    ],
)
async def test_an_answer_costs_no_query_for_what_was_left_out(
    api: ApiClient,
    conversation: str,
    started: GenerationWorker,
    event_log: EventLog,
    provider: ScriptedProvider,
    late_reads: list[str],
    course: list[dict[str, Any]],
    state: State,
    attempts: int,
) -> None:
    provider.script({"text": "before"}, *course)
    await api.send(conversation, "First")
    frames = await api.send(conversation, "Second")
    generation = await end_of({"generationId": frames[0].data["generationId"]})
    assert (generation.state, generation.attempt) == (state, attempts)
    assert late_reads == []


async def test_a_stopped_answer_costs_none(
    api: ApiClient,
    conversation: str,
    started: GenerationWorker,
    event_log: EventLog,
    provider: ScriptedProvider,
    late_reads: list[str],
) -> None:
    provider.script({"chunks": ["one ", "two"], "hold_after": 1})
    reference = await api.enqueue(conversation, "Hi")
    await follow_until(event_log, reference, EventType.DELTA)
    await api.call("post", f"/generations/{reference['generationId']}/stop")
    await follow_until(event_log, reference, EventType.STOPPED)
    assert (await end_of(reference)).state == State.STOPPED
    assert late_reads == []


def claim_and_hand_over() -> None:
    (claim,) = claim_waiting("elsewhere", 1)
    hand_over(claim)


async def test_an_answer_taken_over_whose_log_is_lost_costs_none(
    api: ApiClient,
    conversation: str,
    models: None,
    event_log: EventLog,
    provider: ScriptedProvider,
    late_reads: list[str],
) -> None:
    provider.script({"chunks": ["one ", "two"], "hold_after": 1})
    reference = await api.enqueue(conversation, "Hi")
    await db_call(claim_and_hand_over)
    worker = GenerationWorker(owner="second", concurrency=1, log=event_log)
    task = spawn(worker.run(), name="second worker")
    await follow_until(event_log, reference, EventType.DELTA)
    await event_log.delete(await db_call(find_key, reference["generationId"]))
    provider.release()
    await worker.drain(grace_s=30)
    await task
    generation = await end_of(reference)
    assert (generation.state, generation.attempt) == (State.COMPLETED, 3)
    assert late_reads == []
