"""What every event log promises: the one in memory, and the one in Redis, also in a cluster."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from chatbot.core.tasks import spawn
from conversations.eventlog import EventLog, Fenced, LogLost, StreamKey
from conversations.eventlog.cluster import ClusterEventLog
from conversations.eventlog.memory import MemoryEventLog
from conversations.eventlog.redis import RedisEventLog
from conversations.events import START, Cursor, Event, EventType
from tests.conversations.logs import event, follow, new_key, read_all

pytestmark = pytest.mark.parametrize(
    ("log", "store"),
    [("memory", "server"), ("redis", "server"), ("redis", "cluster")],
    indirect=True,
)


@pytest.fixture
def log(request: pytest.FixtureRequest, redis_log: RedisEventLog | ClusterEventLog) -> EventLog:
    return redis_log if request.param == "redis" else MemoryEventLog()


@pytest.fixture
def key() -> StreamKey:
    return new_key()


async def fill(log: EventLog, key: StreamKey, *events: Event) -> None:
    for one in events:
        await log.append(key, one)


async def test_a_reader_gets_exactly_what_comes_after_its_cursor(
    log: EventLog, key: StreamKey
) -> None:
    await fill(log, key, event(1, 1), event(1, 2), event(1, 3), event(1, 4, EventType.DONE))
    assert await read_all(log, key, Cursor(1, 2)) == ["1-3", "1-4"]


async def test_a_reader_that_came_first_gets_everything(log: EventLog, key: StreamKey) -> None:
    reader = spawn(read_all(log, key), name="reader")
    await asyncio.sleep(0)
    for one in (event(1, 1), event(1, 2), event(1, 3, EventType.STOPPED)):
        await log.append(key, one)
    assert await reader == ["1-1", "1-2", "1-3"]


async def test_what_gathers_while_a_reader_is_slow_comes_as_one_batch(
    log: EventLog, key: StreamKey
) -> None:
    await fill(log, key, event(1, 1))
    async with aclosing(follow(log, key, START, idle_s=5)) as batches:
        assert len(await anext(batches)) == 1
        for seq in range(2, 200):
            await log.append(key, event(1, seq))
        sizes: list[int] = []
        while sum(sizes) < 198:
            sizes.append(len(await anext(batches)))
        # The very last ones may still be on their way from another process.
        assert len(sizes) <= 2


async def test_an_end_that_comes_while_a_reader_is_busy_is_read(
    log: EventLog, key: StreamKey
) -> None:
    await fill(log, key, event(1, 1))
    seen = []
    async with aclosing(follow(log, key, START, idle_s=5)) as batches:
        async for batch in batches:
            seen += [str(one.cursor) for one in batch]
            if len(seen) == 1:
                await log.append(key, event(1, 2))
                await log.append(key, event(1, 3, EventType.DONE))
    assert seen == ["1-1", "1-2", "1-3"]


async def test_an_idle_reader_is_told_so(log: EventLog, key: StreamKey) -> None:
    async with aclosing(follow(log, key, START, idle_s=0)) as batches:
        assert await anext(batches) == []


async def test_a_stale_writer_is_fenced(log: EventLog, key: StreamKey) -> None:
    await fill(log, key, event(1, 1), event(2, 1))
    with pytest.raises(Fenced):
        await log.append(key, event(1, 2))


async def test_an_event_written_twice_is_kept_once(log: EventLog, key: StreamKey) -> None:
    await fill(log, key, event(1, 1), event(1, 2), event(1, 2), event(1, 3, EventType.DONE))
    assert await read_all(log, key) == ["1-1", "1-2", "1-3"]


@pytest.mark.parametrize("late", [event(1, 3), event(2, 2)])
async def test_a_gap_is_noticed(log: EventLog, key: StreamKey, late: Event) -> None:
    await fill(log, key, event(1, 1))
    with pytest.raises(LogLost):
        await log.append(key, late)


async def test_a_writer_notices_that_the_log_is_gone(log: EventLog, key: StreamKey) -> None:
    with pytest.raises(LogLost):
        await log.append(key, event(1, 7))
