from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import uuid4

import pytest

from chatbot.core.tasks import spawn
from conversations.eventlog import Fenced, LogLost, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import START, Cursor, Event, EventType

KEY = StreamKey(uuid4(), uuid4())


def event(attempt: int, seq: int, kind: EventType = EventType.DELTA) -> Event:
    return Event(Cursor(attempt, seq), kind, {"text": f"{attempt}.{seq} "})


async def read_all(log: MemoryEventLog, after: Cursor = START) -> list[str]:
    seen: list[str] = []
    async with aclosing(log.follow(KEY, after, idle_s=5)) as batches:
        async for batch in batches:
            seen += [str(one.cursor) for one in batch]
    return seen


async def filled(*events: Event) -> MemoryEventLog:
    log = MemoryEventLog()
    for one in events:
        await log.append(KEY, one)
    return log


async def test_a_reader_gets_exactly_what_comes_after_its_cursor() -> None:
    log = await filled(event(1, 1), event(1, 2), event(1, 3), event(1, 4, EventType.DONE))
    assert await read_all(log, Cursor(1, 2)) == ["1-3", "1-4"]


async def test_a_reader_that_came_first_gets_everything() -> None:
    log = MemoryEventLog()
    reader = spawn(read_all(log), name="reader")
    await asyncio.sleep(0)
    for one in (event(1, 1), event(1, 2), event(1, 3, EventType.STOPPED)):
        await log.append(KEY, one)
    assert await reader == ["1-1", "1-2", "1-3"]


async def test_what_gathers_while_a_reader_is_slow_comes_as_one_batch() -> None:
    log = await filled(event(1, 1))
    async with aclosing(log.follow(KEY, START, idle_s=5)) as batches:
        assert len(await anext(batches)) == 1
        for seq in range(2, 200):
            await log.append(KEY, event(1, seq))
        assert len(await anext(batches)) == 198


async def test_an_end_that_comes_while_a_reader_is_busy_is_read() -> None:
    log = await filled(event(1, 1))
    seen = []
    async with aclosing(log.follow(KEY, START, idle_s=5)) as batches:
        async for batch in batches:
            seen += [str(one.cursor) for one in batch]
            if len(seen) == 1:
                await log.append(KEY, event(1, 2))
                await log.append(KEY, event(1, 3, EventType.DONE))
    assert seen == ["1-1", "1-2", "1-3"]


async def test_an_idle_reader_is_told_so() -> None:
    log = MemoryEventLog()
    async with aclosing(log.follow(KEY, START, idle_s=0)) as batches:
        assert await anext(batches) == []


async def test_a_stale_writer_is_fenced() -> None:
    log = await filled(event(1, 1), event(2, 1))
    with pytest.raises(Fenced):
        await log.append(KEY, event(1, 2))


async def test_an_event_written_twice_is_kept_once() -> None:
    log = await filled(event(1, 1), event(1, 2), event(1, 2), event(1, 3, EventType.DONE))
    assert await read_all(log) == ["1-1", "1-2", "1-3"]


@pytest.mark.parametrize("late", [event(1, 3), event(2, 2)])
async def test_a_gap_is_noticed(late: Event) -> None:
    log = await filled(event(1, 1))
    with pytest.raises(LogLost):
        await log.append(KEY, late)


async def test_a_writer_notices_that_the_log_is_gone() -> None:
    log = MemoryEventLog()
    with pytest.raises(LogLost):
        await log.append(KEY, event(1, 7))


async def test_following_past_the_end_ends_at_once() -> None:
    log = await filled(event(1, 1), event(1, 2, EventType.DONE))
    assert await read_all(log, Cursor(1, 2)) == []


async def test_an_ended_log_is_forgotten_after_its_time() -> None:
    now = 0.0
    log = MemoryEventLog(retention_s=60, clock=lambda: now)
    await log.append(KEY, event(1, 1, EventType.DONE))
    now = 59.0
    assert await log.exists(KEY)
    now = 61.0
    assert not await log.exists(KEY)


async def test_a_reader_that_leaves_before_the_first_event_leaves_nothing_behind() -> None:
    log = MemoryEventLog()
    async with aclosing(log.follow(KEY, START, idle_s=0)) as batches:
        await anext(batches)
    assert not await log.exists(KEY)
