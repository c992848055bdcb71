"""The log in a cluster through what only a cluster does: slots that move, nodes that go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pytest_django import Settings
from redis.crc import key_slot

from chatbot.core.tasks import spawn
from conversations.eventlog import LogAway, LogLost, LogWriter, StreamKey, ticker
from conversations.eventlog.cluster import ClusterEventLog
from conversations.events import Cursor, Event, EventType, fold_text
from tests.conversations.logs import new_key, read_events
from tests.stores import Valkey
from tests.valkey_cluster import NODES, ValkeyCluster

DELTA, DONE, SNAPSHOT = EventType.DELTA, EventType.DONE, EventType.SNAPSHOT
WORDS = [f"word {number} " for number in range(12)]

pytestmark = pytest.mark.parametrize("store", ["cluster"], indirect=True)


def slot_of(log: ClusterEventLog, key: StreamKey) -> int:
    return key_slot(log.name_of(key).encode())


def keys_by_node(log: ClusterEventLog, cluster: ValkeyCluster) -> dict[Valkey, StreamKey]:
    """Return a new log at each node."""
    found: dict[Valkey, StreamKey] = {}
    while len(found) < NODES:
        key = new_key()
        found.setdefault(cluster.owner(slot_of(log, key)), key)
    return found


async def test_an_answer_whose_slot_moves_meanwhile_loses_nothing(
    redis_log: ClusterEventLog, store: ValkeyCluster
) -> None:
    key, elsewhere = new_key(), ClusterEventLog()
    slot = slot_of(redis_log, key)
    home = store.owner(slot)
    target = next(node for node in store.nodes if node is not home)
    readers = [
        spawn(read_events(log, key, idle_s=0.2), name="reader") for log in (redis_log, elsewhere)
    ]
    writer = redis_log.writer(key, 1)
    for number, word in enumerate(WORDS):
        await writer.write(DELTA, {"text": word})
        if number == 4:
            # Not flushed before: some of it is on its way.
            await asyncio.to_thread(store.move, slot, target)
        else:
            await writer.flush()
    await asyncio.to_thread(store.move, slot, home)
    await writer.write_event(Event(Cursor(1, writer.next_seq), DONE))
    for reader in readers:
        events = await reader
        assert fold_text(events) == "".join(WORDS)
        assert len({one.cursor for one in events}) == len(events)
    await elsewhere.aclose()


async def test_what_is_written_while_keys_are_between_two_nodes_waits(
    redis_log: ClusterEventLog, store: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "FLUSH_S", 0.3)
    key = new_key()
    slot = slot_of(redis_log, key)
    home = store.owner(slot)
    target = next(node for node in store.nodes if node is not home)
    writer = redis_log.writer(key, 1)
    await writer.write(DELTA, {"text": "before, "})
    await writer.flush()
    with store.moving(slot, target):
        await writer.write(DELTA, {"text": "between, "})
        with pytest.raises(LogAway):
            await writer.flush()
        with pytest.raises(LogAway):
            await redis_log.read(key)
    monkeypatch.setattr(ticker, "FLUSH_S", 5)
    await writer.write(DELTA, {"text": "after"})
    await writer.flush()
    assert fold_text(await redis_log.read(key)) == "before, between, after"
    store.move(slot, home)


async def test_a_killed_node_is_away_alone_and_its_answers_begin_anew(
    redis_log: ClusterEventLog, store: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "FLUSH_S", 0.3)
    keys = keys_by_node(redis_log, store)
    lost_node, *others = store.nodes
    writers = {node: redis_log.writer(key, 1) for node, key in keys.items()}
    reader = spawn(read_events(redis_log, keys[lost_node], idle_s=0.2), name="reader")
    for writer in writers.values():
        await writer.write(DELTA, {"text": "before, "})
        await writer.flush()
    lost_node.kill9()
    for node, writer in writers.items():
        await writer.write(DELTA, {"text": "meanwhile"})
        if node is not lost_node:
            await writer.flush()
    with pytest.raises(LogAway):
        await writers[lost_node].flush()
    with pytest.raises(LogAway):
        await redis_log.read(keys[lost_node])
    for node in others:
        assert fold_text(await redis_log.read(keys[node])) == "before, meanwhile"
    await asyncio.to_thread(store.start)
    monkeypatch.setattr(ticker, "FLUSH_S", 5)
    # It came back with nothing.
    with pytest.raises(LogLost):
        await writers[lost_node].flush()
    again = redis_log.writer(keys[lost_node], 2)
    await again.write(SNAPSHOT, {"text": "before, meanwhile, after"})
    await again.write_event(Event(Cursor(2, 2), DONE))
    assert fold_text(await reader) == "before, meanwhile, after"


async def test_a_frozen_node_holds_up_nobody_elses_answers_and_loses_nothing(
    redis_log: ClusterEventLog, store: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "REPLY_TIMEOUT_S", 0.3)
    monkeypatch.setattr(ticker, "FLUSH_S", 0.5)
    keys = keys_by_node(redis_log, store)
    frozen = store.nodes[0]
    writers = {node: redis_log.writer(key, 1) for node, key in keys.items()}
    for writer in writers.values():
        await writer.write(DELTA, {"text": "before, "})
        await writer.flush()
    frozen.pause()
    try:
        for node, writer in writers.items():
            await writer.write(DELTA, {"text": "meanwhile"})
            if node is not frozen:
                await writer.flush()
        with pytest.raises(LogAway):
            await writers[frozen].flush()
    finally:
        frozen.resume()
    await asyncio.to_thread(store.wait_until_agreed)
    await flush_at_last(writers[frozen])
    for key in keys.values():
        assert fold_text(await redis_log.read(key)) == "before, meanwhile"


async def test_the_log_starts_as_long_as_one_of_its_nodes_tells_where_the_others_are(
    redis_log: ClusterEventLog, store: ValkeyCluster, settings: Settings, tmp_path: Path
) -> None:
    absent = Valkey(tmp_path / "absent")
    settings.EVENT_LOG_CLUSTER = [absent.url, store.urls[2]]
    log = ClusterEventLog()
    for key in keys_by_node(log, store).values():
        writer = log.writer(key, 1)
        await writer.write(DELTA, {"text": "said"})
        await writer.flush()
        assert fold_text(await redis_log.read(key)) == "said"
    await log.aclose()


async def test_nodes_that_are_all_away_are_an_absence_and_no_more(
    store: ValkeyCluster, settings: Settings, tmp_path: Path
) -> None:
    settings.EVENT_LOG_CLUSTER = [Valkey(tmp_path / "absent").url]
    log = ClusterEventLog()
    with pytest.raises(LogAway):
        await log.read(new_key())
    with pytest.raises(LogAway):
        await log.delete(new_key())
    await log.aclose()


async def test_a_replica_that_takes_over_goes_on_with_the_answer(
    store: ValkeyCluster, settings: Settings, tmp_path: Path
) -> None:
    cluster, key = ValkeyCluster(tmp_path / "replicated"), new_key()
    try:
        cluster.create()
        settings.EVENT_LOG_CLUSTER = cluster.urls
        log = ClusterEventLog()
        home = cluster.owner(slot_of(log, key))
        replica = cluster.add_replica(home)
        reader = spawn(read_events(log, key, idle_s=0.2), name="reader")
        writer = log.writer(key, 1)
        await writer.write(DELTA, {"text": "before, "})
        await writer.flush()
        # Those who write do not wait for it.
        cluster.wait_until_copied(home, replica)
        home.kill9()
        await writer.write(DELTA, {"text": "after"})
        await flush_at_last(writer)
        await writer.write_event(Event(Cursor(1, writer.next_seq), DONE))
        assert fold_text(await reader) == "before, after"
        assert cluster.owner(slot_of(log, key)) is replica
        await log.aclose()
    finally:
        cluster.kill9()


async def flush_at_last(writer: LogWriter) -> None:
    """Flush, however long the log is away."""
    while True:
        try:
            await writer.flush()
        except LogAway:
            continue
        return
