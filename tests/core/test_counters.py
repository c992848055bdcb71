"""Counters on a real Valkey that goes and comes, and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from pytest_django import Settings

from chatbot.core import counters
from chatbot.core.counters import Counter, Taken, give_back, look, take
from chatbot.core.stores import REDIS
from tests.stores import Valkey

pytestmark = pytest.mark.process

Make = Callable[..., Counter]


@pytest.fixture(scope="module")
def valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def valkey(valkey_process: Valkey, settings: Settings) -> Iterator[Valkey]:
    if not valkey_process.is_alive:
        valkey_process.start()
    valkey_process.flush()
    settings.REDIS_URL = valkey_process.url
    REDIS.note_answer()
    yield valkey_process
    REDIS.note_answer()


@pytest.fixture(params=["valkey", "memory"])
def anywhere(request: pytest.FixtureRequest, settings: Settings) -> None:
    """What counters promise holds in Redis and in memory."""
    if request.param == "valkey":
        request.getfixturevalue("valkey")
    else:
        settings.REDIS_URL = ""


@pytest.fixture
def make() -> Make:
    def make(limit: int, keep_s: int = 60) -> Counter:
        return Counter(f"test:{uuid4()}", limit, keep_s)

    return make


def test_all_counters_are_taken_from_together(anywhere: None, make: Make) -> None:
    both = [make(2), make(5)]
    assert take(both) == Taken((1, 1), is_full=False)
    assert take(both) == Taken((2, 2), is_full=False)
    assert look(both) == (2, 2)


def test_what_one_refuses_is_counted_in_none(anywhere: None, make: Make) -> None:
    narrow, wide = make(1), make(5)
    take([narrow, wide])
    for order in ([narrow, wide], [wide, narrow]):
        assert take(order) == Taken((1, 1), is_full=True)
    assert look([narrow, wide]) == (1, 1)
    assert take([wide]).counts == (2,)


def test_what_is_given_back_can_be_taken_again(anywhere: None, make: Make) -> None:
    counter = make(1)
    take([counter])
    give_back([counter])
    assert take([counter]) == Taken((1,), is_full=False)


def test_nothing_is_given_back_that_was_not_taken(anywhere: None, make: Make) -> None:
    counter = make(1)
    give_back([counter])
    take([counter])
    give_back([counter])
    give_back([counter])
    assert look([counter]) == (0,)
    assert not take([counter]).is_full
    assert take([counter]).is_full


def test_a_counter_ends_after_its_time(valkey: Valkey, make: Make) -> None:
    counter = make(5, keep_s=40)
    take([counter])
    take([counter])
    with valkey.client() as client:
        assert 0 < int(client.ttl(counter.key)) <= 40
        client.delete(counter.key)
    # Its time is over: giving back makes nothing anew that nobody would end.
    give_back([counter])
    assert look([counter]) == (0,)
    with valkey.client() as client:
        assert client.dbsize() == 0


def test_a_counter_in_memory_ends_after_its_time(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = ""
    now = [0.0]
    monkeypatch.setattr("chatbot.core.counters.time.monotonic", lambda: now[0])
    counter = make(5, keep_s=40)
    take([counter])
    now[0] = 39
    assert take([counter]).counts == (2,)
    now[0] = 40
    assert look([counter]) == (0,)
    assert take([counter]).counts == (1,)


def test_memory_keeps_no_more_than_what_has_not_ended(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = ""
    memory = counters._Memory()
    now = [0.0]
    monkeypatch.setattr("chatbot.core.counters.time.monotonic", lambda: now[0])
    for _ in range(3 * counters.SWEEP_AT):
        memory.take([make(5, keep_s=10)])
        now[0] += 0.1
    assert len(memory._counts) <= counters.SWEEP_AT


def test_a_look_leaves_nothing_behind(valkey: Valkey, make: Make) -> None:
    assert look([make(1), make(1)]) == (0, 0)
    with valkey.client() as client:
        assert client.dbsize() == 0


def test_a_server_that_forgot_the_scripts_is_told_them_again(valkey: Valkey, make: Make) -> None:
    counter = make(5)
    take([counter])
    with valkey.client() as client:
        client.script_flush()
    assert take([counter]) == Taken((2,), is_full=False)
    with valkey.client() as client:
        client.script_flush()
    give_back([counter])
    assert look([counter]) == (1,)


def test_a_restart_costs_the_counts_and_nothing_else(valkey: Valkey, make: Make) -> None:
    counter = make(5)
    take([counter])
    valkey.restart()
    assert take([counter]) == Taken((1,), is_full=False)
    assert not REDIS.is_noted


def test_without_redis_the_process_counts_alone_and_says_so(valkey: Valkey, make: Make) -> None:
    counter = make(2)
    take([counter])
    valkey.kill9()
    assert take([counter]) == Taken((1,), is_full=False, is_alone=True)
    assert take([counter]) == Taken((2,), is_full=False, is_alone=True)
    assert take([counter]) == Taken((2,), is_full=True, is_alone=True)
    give_back([counter])
    assert look([counter]) == (1,)


def test_once_redis_is_back_all_count_together_again(valkey: Valkey, make: Make) -> None:
    counter = make(2)
    valkey.kill9()
    assert take([counter]).is_alone
    valkey.start()
    # As after the moment for which its absence is remembered.
    REDIS.note_answer()
    assert take([counter]) == Taken((1,), is_full=False)
