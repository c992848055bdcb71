"""The log in Redis through what Redis does: flushes, restarts, absences, and many at once.

All of it on one server, and on a cluster.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
import redis

from chatbot.core.tasks import spawn
from conversations.eventlog import Fenced, LogAway, LogLost, StreamKey, ticker
from conversations.eventlog.cluster import ClusterEventLog
from conversations.eventlog.hub import WINDOW_EVENTS
from conversations.eventlog.redis import PAGE_EVENTS, RedisEventLog
from conversations.events import START, Cursor, Event, EventType, fold_text
from tests.conversations.logs import event, follow, new_key, read_all, read_events
from tests.stores import Valkey
from tests.valkey_cluster import ValkeyCluster

Log = RedisEventLog | ClusterEventLog
Store = Valkey | ValkeyCluster

pytestmark = pytest.mark.parametrize("store", ["server", "cluster"], indirect=True)

DELTA, DONE, SNAPSHOT, STARTED = (
    EventType.DELTA,
    EventType.DONE,
    EventType.SNAPSHOT,
    EventType.STARTED,
)


async def write_words(log: Log, key: StreamKey, *words: str, attempt: int = 1) -> None:
    """Write an attempt to its end, each word a delta of its own."""
    writer = log.writer(key, attempt)
    await writer.write(STARTED, {})
    for word in words:
        await writer.write(DELTA, {"text": word})
        await writer.flush()
    await writer.write_event(Event(Cursor(attempt, writer.next_seq), DONE))


async def test_what_is_written_is_read_by_all_who_follow(redis_log: Log) -> None:
    key = new_key()
    readers = [spawn(read_events(redis_log, key), name="reader") for _ in range(5)]
    await write_words(redis_log, key, "one ", "two ", "three")
    for reader in readers:
        assert fold_text(await reader) == "one two three"


async def test_another_process_reads_the_same(redis_log: Log) -> None:
    key, elsewhere = new_key(), type(redis_log)()
    reader = spawn(read_events(elsewhere, key), name="reader")
    await write_words(redis_log, key, "one ", "two")
    assert fold_text(await reader) == "one two"
    await elsewhere.aclose()


async def test_a_reader_that_was_told_of_a_new_log_misses_nothing(
    redis_log: Log,
) -> None:
    key = new_key()
    async with aclosing(follow(redis_log, key, START, idle_s=5, is_new=True)) as batches:
        first = spawn(anext(batches), name="first batch")
        await asyncio.sleep(0)
        await write_words(redis_log, key, "one ", "two")
        events = list(await first)
        async for batch in batches:
            events += batch
    assert [str(one.cursor) for one in events] == ["1-1", "1-2", "1-3", "1-4"]


def count_clients(node: Valkey) -> int:
    with node.client() as client:
        return int(client.info("clients")["connected_clients"])


async def test_many_logs_are_followed_over_one_connection_to_each_node(
    redis_log: Log, store: Store
) -> None:
    nodes = store.nodes if isinstance(store, ValkeyCluster) else [store]
    before = [count_clients(node) for node in nodes]
    keys = [new_key() for _ in range(100)]
    readers = [spawn(read_events(redis_log, key), name="reader") for key in keys]
    async with asyncio.TaskGroup() as group:
        for number, key in enumerate(keys):
            group.create_task(write_words(redis_log, key, "answer ", str(number)))
    for number, reader in enumerate(readers):
        assert fold_text(await reader) == f"answer {number}"
    # The writers', the readers' and that of their questions.
    for node, had in zip(nodes, before, strict=True):
        assert count_clients(node) <= had + 3


async def test_words_that_come_within_one_tick_are_one_event(redis_log: Log) -> None:
    key = new_key()
    writer = redis_log.writer(key, 1)
    for word in ("a", "b", "c"):
        await writer.write(DELTA, {"text": word})
    await writer.flush()
    (one,) = await redis_log.read(key)
    assert (str(one.cursor), one.data) == ("1-1", {"text": "abc"})


async def test_a_reader_that_falls_behind_reads_the_log_at_its_own_pace(
    redis_log: Log,
) -> None:
    key, count = new_key(), WINDOW_EVENTS * 2 + 100
    async with aclosing(follow(redis_log, key, START, idle_s=5, is_new=True)) as batches:
        slow = spawn(anext(batches), name="slow reader")
        for seq in range(1, count):
            await redis_log.append(key, event(1, seq))
        await redis_log.append(key, event(1, count, DONE))
        seen = [str(one.cursor) for one in await slow]
        async for batch in batches:
            assert len(batch) <= max(PAGE_EVENTS, WINDOW_EVENTS)
            seen += [str(one.cursor) for one in batch]
    assert seen == [f"1-{seq}" for seq in range(1, count + 1)]


async def test_two_readers_at_different_places_each_get_their_own_rest(
    redis_log: Log,
) -> None:
    key = new_key()
    for seq in range(1, 6):
        await redis_log.append(key, event(1, seq))
    ahead = spawn(read_all(redis_log, key, Cursor(1, 4)), name="ahead")
    behind = spawn(read_all(redis_log, key, Cursor(1, 1)), name="behind")
    await redis_log.append(key, event(1, 6, DONE))
    assert await ahead == ["1-5", "1-6"]
    assert await behind == ["1-2", "1-3", "1-4", "1-5", "1-6"]


async def test_a_place_beyond_the_end_silences_nobody_else(redis_log: Log) -> None:
    key = new_key()
    await redis_log.append(key, event(1, 1))
    async with aclosing(follow(redis_log, key, Cursor(1, 9_999_999), idle_s=0.05)) as beyond:
        assert await anext(beyond) == []
        async with aclosing(follow(redis_log, key, START, idle_s=0.05)) as batches:
            assert [str(one.cursor) for one in await anext(batches)] == ["1-1"]
            # Now it waits for what this process follows.
            assert await anext(batches) == []
            await redis_log.append(key, event(1, 2))
            await redis_log.append(key, event(1, 3, DONE))
            async with asyncio.timeout(10):
                rest = [str(one.cursor) async for batch in batches for one in batch]
    assert rest == ["1-2", "1-3"]


async def test_a_flushed_log_is_noticed_and_begun_anew(redis_log: Log, store: Store) -> None:
    key = new_key()
    reader = spawn(read_events(redis_log, key), name="reader")
    writer = redis_log.writer(key, 1)
    await writer.write(DELTA, {"text": "lost "})
    await writer.flush()
    store.flush()
    await writer.write(DELTA, {"text": "words"})
    with pytest.raises(LogLost):
        await writer.flush()
    with pytest.raises(LogLost):
        await writer.write(DELTA, {"text": "more"})
    again = redis_log.writer(key, 2)
    await again.write(SNAPSHOT, {"text": "lost words more"})
    await again.write_event(Event(Cursor(2, 2), DONE))
    assert fold_text(await reader) == "lost words more"


async def test_a_tail_lost_in_a_restart_is_noticed(redis_log: Log, store: Store) -> None:
    key = new_key()
    writer = redis_log.writer(key, 1)
    await writer.write(DELTA, {"text": "kept "})
    await writer.flush()
    store.save()
    await writer.write(DELTA, {"text": "lost "})
    await writer.flush()
    store.kill9()
    store.start()
    assert [str(one.cursor) for one in await redis_log.read(key)] == ["1-1"]
    await writer.write(DELTA, {"text": "words"})
    with pytest.raises(LogLost):
        await writer.flush()


async def test_what_is_written_while_the_store_is_away_comes_when_it_is_back(
    redis_log: Log, store: Store
) -> None:
    key = new_key()
    reader = spawn(read_events(redis_log, key, idle_s=0.2), name="reader")
    writer = redis_log.writer(key, 1)
    await writer.write(DELTA, {"text": "before, "})
    await writer.flush()
    store.save()
    store.kill9()
    for word in ("mean", "while, "):
        await writer.write(DELTA, {"text": word})
    with pytest.raises(LogAway):
        await redis_log.read(key)
    store.start()
    await writer.write(DELTA, {"text": "after"})
    await writer.write_event(Event(Cursor(1, writer.next_seq), DONE))
    assert fold_text(await reader) == "before, meanwhile, after"


async def test_flushing_to_a_store_that_is_away_gives_up_in_time(
    redis_log: Log, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = redis_log.writer(new_key(), 1)
    store.kill9()
    await writer.write(DELTA, {"text": "words"})
    with monkeypatch.context() as impatient, pytest.raises(LogAway):
        impatient.setattr(ticker, "FLUSH_S", 0.2)
        await writer.flush()
    store.start()
    await writer.flush()


async def test_a_writer_of_an_earlier_attempt_is_refused(redis_log: Log) -> None:
    key = new_key()
    stale, fresh = redis_log.writer(key, 1), redis_log.writer(key, 2)
    await stale.write(DELTA, {"text": "stale"})
    await stale.flush()
    await fresh.write(SNAPSHOT, {"text": "fresh"})
    await fresh.flush()
    await stale.write(DELTA, {"text": " words"})
    with pytest.raises(Fenced):
        await stale.flush()
    assert fold_text(await redis_log.read(key)) == "fresh"


async def test_an_append_of_unknown_outcome_is_repeated_without_harm(
    redis_log: Log,
) -> None:
    key = new_key()
    writer = redis_log.writer(key, 1)
    await writer.write(DELTA, {"text": "once"})
    command = writer.next_command()
    part = redis_log.lane_of(key) if isinstance(redis_log, ClusterEventLog) else redis_log
    await part._pipeline.ask(*command)
    # The reply was lost: the writer sends the same again, and more.
    await writer.write(DELTA, {"text": " and more"})
    await writer.flush()
    assert fold_text(await redis_log.read(key)) == "once and more"
    assert len(await redis_log.read(key)) == 2


async def test_nothing_is_read_across_a_gap(
    redis_log: Log, redis_client: redis.Redis | redis.RedisCluster
) -> None:
    key = new_key()
    for seq in range(1, 4):
        await redis_log.append(key, event(1, seq))
    redis_client.xdel(redis_log.name_of(key), "1-2")
    async with aclosing(follow(redis_log, key, START, idle_s=0.05)) as batches:
        assert [str(one.cursor) for one in await anext(batches)] == ["1-1"]
        assert await anext(batches) == []
        await redis_log.append(key, event(2, 1, STARTED))
        await redis_log.append(key, event(2, 2, SNAPSHOT))
        seen: list[str] = []
        while len(seen) < 2:
            seen += [str(one.cursor) for one in await anext(batches)]
    assert seen == ["2-1", "2-2"]


async def test_an_event_moved_from_another_log_does_not_open(
    redis_log: Log, redis_client: redis.Redis | redis.RedisCluster
) -> None:
    mine, other = new_key(), new_key()
    other = StreamKey(other.conversation_id, other.generation_id, mine.cipher)
    await redis_log.append(other, event(1, 1))
    entries: Any = redis_client.xrange(redis_log.name_of(other))
    ((entry_id, fields),) = entries
    redis_client.xadd(redis_log.name_of(mine), fields, id=entry_id)
    assert await redis_log.read(mine) == []


async def test_the_store_holds_no_text(
    redis_log: Log, store: Store, redis_client: redis.Redis | redis.RedisCluster
) -> None:
    key = new_key()
    writer = redis_log.writer(key, 1)
    await writer.write(DELTA, {"text": "a secret that nobody else may read"})
    await writer.flush()
    redis_client.set("control", "a secret that nobody else may read")
    store.save()
    assert store.saved().count(b"a secret that nobody else may read") == 1


async def test_an_ended_log_goes_after_its_time_and_a_live_one_later(
    redis_log: Log, redis_client: redis.Redis | redis.RedisCluster
) -> None:
    log, ended, live = type(redis_log)(retention_s=30), new_key(), new_key()
    await write_words(log, ended, "over")
    writer = log.writer(live, 1)
    await writer.write(DELTA, {"text": "still going"})
    await writer.flush()
    assert 0 < redis_client.ttl(redis_log.name_of(ended)) <= 30
    assert redis_client.ttl(redis_log.name_of(live)) > 3000
    await log.aclose()


async def test_without_its_key_a_log_is_silent(redis_log: Log) -> None:
    key = new_key()
    await write_words(redis_log, key, "sealed")
    blind = StreamKey(key.conversation_id, key.generation_id)
    writer = redis_log.writer(blind, 2)
    await writer.write(DELTA, {"text": "nothing"})
    await writer.flush()
    assert await redis_log.read(blind) == []
    async with aclosing(follow(redis_log, blind, START, idle_s=0.01)) as batches:
        assert await anext(batches) == []
    assert fold_text(await redis_log.read(key)) == "sealed"


async def test_a_log_without_its_key_holds_up_nobody_elses(redis_log: Log) -> None:
    key, other = new_key(), new_key()
    blind = redis_log.writer(StreamKey(other.conversation_id, other.generation_id), 1)
    healthy = redis_log.writer(key, 1)
    reader = spawn(read_events(redis_log, key), name="reader")
    await blind.write(STARTED, {})
    await healthy.write(STARTED, {})
    for word in ("one ", "two ", "three"):
        await blind.write(DELTA, {"text": "unheard"})
        await healthy.write(DELTA, {"text": word})
    await healthy.write_event(Event(Cursor(1, healthy.next_seq), DONE))
    assert fold_text(await reader) == "one two three"
    assert blind.next_seq == 5


async def test_a_deleted_log_is_gone(redis_log: Log) -> None:
    key = new_key()
    await write_words(redis_log, key, "gone")
    await redis_log.delete(key)
    assert await redis_log.read(key) == []
