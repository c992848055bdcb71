"""The cache on a real Valkey that goes and comes."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from chatbot.core.cache import FallbackCache
from chatbot.core.stores import REDIS
from tests.stores import Valkey

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def cache(valkey: Valkey) -> Iterator[FallbackCache]:
    if not valkey.is_alive:
        valkey.start()
    REDIS.note_answer()
    yield FallbackCache(valkey.url, {})
    REDIS.note_answer()


@pytest.fixture
def key() -> str:
    return str(uuid4())


def test_it_keeps_things_where_other_processes_see_them(
    cache: FallbackCache, valkey: Valkey, key: str
) -> None:
    cache.set(key, ["a"], timeout=60)
    assert FallbackCache(valkey.url, {}).get(key) == ["a"]
    with valkey.client() as client:
        assert client.dbsize() == 1
    assert cache.delete(key)
    assert not cache.has_key(key)


def test_without_redis_it_keeps_things_in_the_process(
    cache: FallbackCache, valkey: Valkey, key: str
) -> None:
    valkey.kill9()
    assert cache.add(key, 1, timeout=60)
    assert not cache.add(key, 1, timeout=60)
    assert cache.incr(key) == 2
    # Another thread has another cache object.
    assert FallbackCache(valkey.url, {}).get(key) == 2
    assert cache.touch(key, 60)
    assert cache.delete(key)


def test_a_connection_that_a_restart_left_dead_costs_nothing(
    cache: FallbackCache, valkey: Valkey, key: str
) -> None:
    cache.set(key, 1, timeout=60)
    valkey.restart()
    cache.set(key, 2, timeout=60)
    with valkey.client() as client:
        assert client.dbsize() == 1
    assert not REDIS.is_noted


def test_a_count_whose_start_was_lost_goes_on(
    cache: FallbackCache, valkey: Valkey, key: str
) -> None:
    cache.add(key, 1, timeout=60)
    valkey.flush()
    assert cache.incr(key) == 1
    cache.add(key, 1, timeout=60)
    valkey.kill9()
    assert cache.incr(key) == 1
