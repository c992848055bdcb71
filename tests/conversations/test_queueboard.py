"""Places in line, told once each, to those who still wait."""

from __future__ import annotations

from typing import Any

import pytest

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations.claims import FIRST_GUESS_MS, claim_waiting
from conversations.eventlog import LogAway, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import START, Cursor, Event, EventType
from conversations.models import Generation
from conversations.queueboard import QueueBoard
from conversations.workers import WorkerLoad, report_worker
from tests.conversations.logs import follow, key_of
from tests.conversations.rows import queue_generation

pytestmark = pytest.mark.django_db(transaction=True)


async def told(log: MemoryEventLog, generation: Generation) -> list[tuple[str, Any]]:
    """Return the ids and places in the log of a generation."""
    key = key_of(generation)
    if not await log.read(key):
        return []
    batch = await anext(follow(log, key, START, idle_s=1))
    return [(str(event.cursor), event.data.get("position")) for event in batch]


async def test_nothing_is_told_while_there_are_free_slots(user: User) -> None:
    log = MemoryEventLog()
    waiting = await db_call(queue_generation, user)
    await QueueBoard(log).post(is_full=False)
    assert await told(log, waiting) == []


async def test_each_who_waits_is_told_place_and_guess(user: User) -> None:
    log = MemoryEventLog()
    for name in ("one", "two"):
        await db_call(report_worker, WorkerLoad(name, 1, 1, is_draining=False))
    waiting = [await db_call(queue_generation, user) for _ in range(3)]
    await QueueBoard(log).post(is_full=True)
    for position, generation in enumerate(waiting, start=1):
        (event,) = await anext(follow(log, key_of(generation), START, idle_s=1))
        assert event.type is EventType.QUEUED
        assert event.data == {"position": position, "etaMs": FIRST_GUESS_MS // 2 * position}


async def test_a_place_is_told_again_only_when_it_changes(user: User) -> None:
    log = MemoryEventLog()
    first, second = [await db_call(queue_generation, user) for _ in range(2)]
    board = QueueBoard(log)
    await board.post(is_full=True)
    await board.post(is_full=True)
    assert await told(log, second) == [("0-1", 2)]
    (claim,) = await db_call(claim_waiting, "worker", 1)
    assert claim.generation_id == first.pk
    await board.post(is_full=True)
    await board.post(is_full=True)
    assert await told(log, second) == [("0-1", 2), ("0-2", 1)]
    assert await told(log, first) == [("0-1", 1)]


async def test_a_place_never_comes_after_the_answer_has_begun(user: User) -> None:
    log = MemoryEventLog()
    first, second = [await db_call(queue_generation, user) for _ in range(2)]
    await log.append(key_of(first), Event(Cursor(1, 1), EventType.STARTED))
    await QueueBoard(log).post(is_full=True)
    assert await told(log, first) == [("1-1", None)]
    assert await told(log, second) == [("0-1", 2)]


async def test_an_empty_line_is_forgotten(user: User) -> None:
    log = MemoryEventLog()
    board = QueueBoard(log)
    earlier = await db_call(queue_generation, user)
    await board.post(is_full=True)
    await db_call(claim_waiting, "worker", 1)
    await board.post(is_full=True)
    later = await db_call(queue_generation, user)
    await board.post(is_full=True)
    assert await told(log, earlier) == await told(log, later) == [("0-1", 1)]


async def test_two_full_workers_tell_each_place_once_in_order(user: User) -> None:
    log = MemoryEventLog()
    last = [await db_call(queue_generation, user) for _ in range(3)][-1]
    early, late = QueueBoard(log), QueueBoard(log)
    await early.post(is_full=True)
    await db_call(claim_waiting, "worker", 1)
    await early.post(is_full=True)
    await late.post(is_full=True)
    assert await told(log, last) == [("0-1", 3), ("0-2", 2)]
    await db_call(claim_waiting, "worker", 1)
    # The other one is slower with its round, or has a free slot by now.
    await late.post(is_full=True)
    assert await told(log, last) == [("0-1", 3), ("0-2", 2), ("0-3", 1)]
    await early.post(is_full=True)
    assert await told(log, last) == [("0-1", 3), ("0-2", 2), ("0-3", 1)]


async def test_places_are_told_again_in_a_log_that_was_lost(user: User) -> None:
    log = MemoryEventLog()
    _, last = [await db_call(queue_generation, user) for _ in range(2)]
    board = QueueBoard(log)
    await board.post(is_full=True)
    await log.delete(key_of(last))
    await db_call(claim_waiting, "worker", 1)
    for _ in range(2):
        await board.post(is_full=True)
    assert await told(log, last) == [("0-1", 1)]


class AwayLog(MemoryEventLog):
    asked = 0

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        self.asked += 1
        raise LogAway


async def test_a_log_that_is_away_is_asked_once_a_round(user: User) -> None:
    log = AwayLog()
    for _ in range(3):
        await db_call(queue_generation, user)
    board = QueueBoard(log)
    await board.post(is_full=True)
    assert log.asked == 1
    await board.post(is_full=True)
    assert log.asked == 2
