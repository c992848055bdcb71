"""A breaker's rules, the same within a process and in a real Valkey."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from prometheus_client import REGISTRY

from llm import breaker_redis
from llm.breaker import (
    AWAY_S,
    COOL_S,
    FAILURES,
    KNOWN_S,
    PROBE_S,
    WINDOW_S,
    Breaker,
    BreakerGate,
    Report,
    State,
)
from llm.breaker_redis import RedisBreakers
from llm.catalog_file import load_catalog
from llm.errors import ContextOverflow, ProviderAuthenticationFailed, ProviderOverloaded, StreamCut
from tests.stores import Valkey

FIRST, SECOND, THIRD = load_catalog().models[1:4]
LOOK = Report(wants_probe=True)
GOOD, BAD = Report(successes=1), Report(failures=1)


def report(breaker: Breaker, *reports: Report, now: float) -> State:
    return [breaker.report(seen, now=now) for seen in reports][-1]


def test_failures_that_outweigh_successes_open_it():
    breaker = Breaker()
    assert report(breaker, *[BAD] * (FAILURES - 1), now=100) is State.CLOSED
    assert report(breaker, BAD, LOOK, now=100) is State.OPEN


def test_as_many_failures_among_more_successes_do_not():
    breaker = Breaker()
    assert report(breaker, *[GOOD] * (FAILURES + 1), *[BAD] * FAILURES, now=100) is State.CLOSED


def test_old_failures_are_forgotten():
    breaker = Breaker()
    report(breaker, *[BAD] * (FAILURES - 1), now=100)
    assert report(breaker, BAD, now=100 + 2 * WINDOW_S) is State.CLOSED


def test_one_caller_at_a_time_tries_when_it_has_cooled_off():
    breaker = Breaker()
    report(breaker, *[BAD] * FAILURES, now=100)
    assert report(breaker, LOOK, now=100 + COOL_S - 0.1) is State.OPEN
    assert report(breaker, LOOK, now=100 + COOL_S) is State.PROBE
    assert report(breaker, LOOK, now=100 + COOL_S) is State.OPEN
    # Nobody heard of the one that tried.
    assert report(breaker, LOOK, now=100 + COOL_S + PROBE_S) is State.PROBE


def test_a_probe_that_fails_opens_it_for_twice_as_long():
    breaker = Breaker()
    report(breaker, *[BAD] * FAILURES, now=100)
    report(breaker, LOOK, BAD, now=110)
    assert report(breaker, LOOK, now=110 + 2 * COOL_S - 0.1) is State.OPEN
    assert report(breaker, LOOK, now=110 + 2 * COOL_S) is State.PROBE


def test_a_probe_that_is_answered_closes_it():
    breaker = Breaker()
    report(breaker, *[BAD] * FAILURES, now=100)
    assert report(breaker, LOOK, GOOD, now=110) is State.CLOSED
    assert report(breaker, BAD, now=110) is State.CLOSED


@pytest.fixture
async def shared(valkey: Valkey, settings) -> AsyncIterator[Callable[[Report], Awaitable[State]]]:
    settings.REDIS_URL = valkey.url
    breakers = RedisBreakers()

    async def tell(seen: Report) -> State:
        return (await breakers.report({"m": seen}))["m"]

    yield tell
    await breakers.aclose()


async def test_the_shared_one_goes_by_the_same_rules(shared):
    for _ in range(FAILURES - 1):
        assert await shared(BAD) is State.CLOSED
    assert await shared(BAD) is State.OPEN
    assert await shared(LOOK) is State.OPEN


async def test_the_shared_one_lets_one_caller_try(shared, monkeypatch):
    quick = breaker_redis.REPORT.replace(f"{COOL_S} *", "0 *")
    monkeypatch.setattr(breaker_redis, "REPORT", quick)
    for _ in range(FAILURES):
        await shared(BAD)
    async with asyncio.TaskGroup() as group:
        trying = [group.create_task(shared(LOOK)) for _ in range(20)]
    assert sorted(task.result() for task in trying) == [State.OPEN] * 19 + [State.PROBE]
    assert await shared(GOOD) is State.CLOSED
    assert await shared(LOOK) is State.CLOSED


async def test_what_nobody_asked_of_leaves_nothing_in_the_store(shared, valkey: Valkey):
    assert await shared(LOOK) is State.CLOSED
    assert valkey.client().keys("breaker:*") == []


async def test_a_model_that_fails_goes_to_the_end_of_the_line():
    gate = BreakerGate()
    for _ in range(FAILURES):
        assert await gate.arrange([FIRST, SECOND]) == [FIRST, SECOND]
        gate.leave(FIRST, ProviderOverloaded(), was_heard=False)
    assert await gate.arrange([FIRST, SECOND]) == [SECOND, FIRST]
    assert await gate.arrange([FIRST]) == [FIRST]


async def test_a_question_that_cannot_be_answered_is_not_its_models_fault():
    gate = BreakerGate()
    for _ in range(FAILURES):
        gate.leave(FIRST, ContextOverflow(), was_heard=False)
    assert await gate.arrange([FIRST, SECOND]) == [FIRST, SECOND]


async def test_a_key_that_does_not_work_is_a_failure():
    gate = BreakerGate()
    for _ in range(FAILURES):
        gate.leave(FIRST, ProviderAuthenticationFailed(), was_heard=False)
    assert await gate.arrange([FIRST, SECOND]) == [SECOND, FIRST]


async def test_with_the_store_away_a_process_goes_by_what_it_saw(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    gate = BreakerGate(RedisBreakers())
    for _ in range(FAILURES):
        gate.leave(FIRST, ProviderOverloaded(), was_heard=False)
    assert await gate.arrange([FIRST, SECOND]) == [SECOND, FIRST]
    await gate.aclose()


async def test_what_another_process_found_out_holds_for_all_answers_here(valkey: Valkey):
    there, here = BreakerGate(RedisBreakers()), BreakerGate(RedisBreakers())
    for _ in range(FAILURES):
        await there.arrange([FIRST, SECOND])
        there.leave(FIRST, ProviderOverloaded(), was_heard=False)
    while await there.arrange([FIRST, SECOND]) == [FIRST, SECOND]:
        pass
    asking = Counter[str]()

    async def ask() -> None:
        for _ in range(20):
            asking[(await here.arrange([FIRST, SECOND]))[0].name] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(ask())
    assert asking == {SECOND.name: 400}
    await there.aclose()
    await here.aclose()


class Stuck:
    """A store that says nothing."""

    asked = 0

    async def report(self, reports: Mapping[str, Report]) -> Mapping[str, State]:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError

    async def aclose(self) -> None:
        return


async def test_a_store_that_says_nothing_is_waited_for_once():
    store, now = Stuck(), [100.0]
    gate = BreakerGate(store, clock=lambda: now[0])
    for _ in range(FAILURES):
        assert await gate.arrange([FIRST, SECOND]) == [FIRST, SECOND]
        gate.leave(FIRST, ProviderOverloaded(), was_heard=False)
        now[0] += KNOWN_S / 2
    assert await gate.arrange([FIRST, SECOND]) == [SECOND, FIRST]
    assert store.asked == 1
    now[0] += AWAY_S
    await gate.arrange([FIRST, SECOND])
    assert store.asked == 2


async def test_only_a_model_that_would_be_asked_is_tried():
    now = [100.0]
    gate = BreakerGate(clock=lambda: now[0])
    for _ in range(FAILURES):
        gate.leave(SECOND, ProviderOverloaded(), was_heard=False)
    now[0] += COOL_S
    for _ in range(3):
        assert await gate.arrange([FIRST, SECOND, THIRD]) == [FIRST, THIRD, SECOND]
    assert await gate.arrange([SECOND, THIRD]) == [SECOND, THIRD]
    assert await gate.arrange([SECOND, THIRD]) == [THIRD, SECOND]


async def test_a_trial_that_breaks_off_closes_nothing():
    now = [100.0]
    gate = BreakerGate(clock=lambda: now[0])
    for _ in range(FAILURES):
        gate.leave(FIRST, StreamCut(), was_heard=True)
    now[0] += COOL_S
    assert await gate.arrange([FIRST, SECOND]) == [FIRST, SECOND]
    gate.heard(FIRST)
    assert await gate.arrange([FIRST, SECOND]) == [SECOND, FIRST]
    gate.leave(FIRST, StreamCut(), was_heard=True)
    now[0] += COOL_S
    assert await gate.arrange([FIRST, SECOND]) == [SECOND, FIRST]
    now[0] += COOL_S
    assert await gate.arrange([FIRST, SECOND]) == [FIRST, SECOND]
    gate.leave(FIRST, None, was_heard=True)
    assert await gate.arrange([FIRST, SECOND]) == [FIRST, SECOND]
    assert await gate.arrange([FIRST, SECOND]) == [FIRST, SECOND]


async def test_a_breaker_can_be_watched():
    gate = BreakerGate()
    for _ in range(FAILURES):
        gate.leave(FIRST, ProviderOverloaded(), was_heard=False)
    labels = {"model": FIRST.name}
    assert REGISTRY.get_sample_value("parley_breaker_state", labels) == State.OPEN
