"""What only the log in memory does: it forgets by itself."""

from __future__ import annotations

from contextlib import aclosing

from conversations.eventlog.memory import MemoryEventLog
from conversations.events import START, EventType
from tests.conversations.logs import event, follow, new_key


async def test_an_ended_log_is_forgotten_after_its_time() -> None:
    now, key = 0.0, new_key()
    log = MemoryEventLog(retention_s=60, clock=lambda: now)
    await log.append(key, event(1, 1, EventType.DONE))
    now = 59.0
    assert await log.read(key)
    now = 61.0
    assert not await log.read(key)


async def test_a_reader_that_leaves_before_the_first_event_leaves_nothing_behind() -> None:
    log, key = MemoryEventLog(), new_key()
    async with aclosing(follow(log, key, START, idle_s=0)) as batches:
        await anext(batches)
    assert not log._streams


async def test_a_log_that_was_forgotten_while_somebody_reads_it_can_be_deleted() -> None:
    now, key = 0.0, new_key()
    log = MemoryEventLog(retention_s=60, clock=lambda: now)
    await log.append(key, event(1, 1, EventType.DONE))
    async with aclosing(follow(log, key, START, idle_s=0)) as batches:
        await anext(batches)
        now = 61.0
        assert not await log.read(key)
        await log.delete(key)
    assert not log._streams
