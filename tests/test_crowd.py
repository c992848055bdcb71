"""Many ask at once a provider that takes few: all are answered, in turn, whoever is killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from time import sleep

import pytest

from tests.bench.crowd import Crowd, Group, gather_crowd, read_lane, script_lengths
from tests.bench.fairness import count_rises, estimate_errors, fairness
from tests.degraded.device import NOISE_S, eventually
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production, running_production

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(240)]

AT_ONCE = 8
LEASE_S = 3.0
# A look that a busy machine holds up.
SLACK_S = 1.0
Deployment = tuple[Production, ScriptedProvider]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    environment = {"GENERATION_LEASE_S": str(LEASE_S)}
    with running_production(webs=1, workers=2, environment=environment) as (production, provider):
        script_lengths(provider, token_ms=4)
        provider.limit(AT_ONCE)
        yield production, provider


@pytest.fixture(scope="module")
def crowd(deployment: Deployment) -> Crowd:
    """People who send ten messages each, one who sends many, and some who send one, a bit later."""
    production, provider = deployment
    groups = [
        Group("equal", people=8, messages=8),
        Group("many", people=1, messages=30),
        Group("late", people=8, messages=1, after_s=3, every_s=0.2),
        Group("paid", people=2, messages=4, plan="pro", after_s=3),
    ]
    return asyncio.run(gather_crowd(production, provider, groups))


def of(crowd: Crowd, *names: str) -> list[float]:
    """Return how long each message of these groups waited, in seconds."""
    return [
        one.started_at - one.accepted_at
        for one in crowd.messages
        if one.person.rsplit("-", 1)[0] in names
    ]


def test_everybody_is_answered(crowd: Crowd) -> None:
    assert {one.end for one in crowd.messages} == {"done"}


def test_the_provider_is_seldom_asked_for_too_much(crowd: Crowd) -> None:
    last = crowd.samples[-1]
    assert max(one.serving for one in crowd.samples) == AT_ONCE
    # The first moment, in which nothing is known yet, and one now and then to see whether it
    # takes more by now.
    assert last.refused < 32 + 0.15 * len(crowd.messages)


def test_people_of_one_plan_get_the_same_share(crowd: Crowd) -> None:
    free = [one for one in crowd.messages if one.plan == "free"]
    assert fairness(free) > 0.9


def test_who_sends_one_message_does_not_wait_for_who_sends_many(crowd: Crowd) -> None:
    assert max(of(crowd, "late")) < max(of(crowd, "equal"))
    assert max(of(crowd, "equal")) < max(of(crowd, "many"))


def test_a_plan_that_is_paid_for_goes_first(crowd: Crowd) -> None:
    assert sorted(of(crowd, "paid"))[4] < sorted(of(crowd, "equal"))[32]


def test_places_only_fall_once_nobody_comes_any_more(crowd: Crowd) -> None:
    assert sum(len(one.told) for one in crowd.messages) > 100
    assert count_rises(crowd.messages) == 0


def test_estimates_are_of_the_right_size(crowd: Crowd) -> None:
    errors = sorted(estimate_errors(crowd.messages))
    # The benchmark promises more, on a machine that does nothing else.
    assert errors[len(errors) // 2] < 0.5


def test_workers_that_are_killed_leave_no_slot_behind(deployment: Deployment) -> None:
    production, provider = deployment
    draw = random.Random(7)  # noqa: S311 - the same course each time

    def kill_some() -> None:
        for _ in range(4):
            sleep(draw.uniform(0.5, 2))
            draw.choice(production.workers).restart()

    groups = [Group("unlucky", people=6, messages=6)]
    crowd = asyncio.run(gather_crowd(production, provider, groups, meanwhile=kill_some))
    assert {one.end for one in crowd.messages} == {"done"}


def test_killed_workers_slots_lapse_within_one_lease(deployment: Deployment) -> None:
    production, provider = deployment
    provider.script(text="held", hold_after=1)

    def kill_all() -> None:
        with production.valkey.client() as client:
            eventually(lambda: read_lane(client)[0] == 3, within_s=NOISE_S)
            for worker in production.workers:
                worker.kill9()
            assert read_lane(client)[0] == 3
            eventually(lambda: read_lane(client)[0] == 0, within_s=LEASE_S + SLACK_S)
        for worker in production.workers:
            worker.launch()
        provider.script(text="held")

    groups = [Group("held", people=3, messages=1)]
    crowd = asyncio.run(gather_crowd(production, provider, groups, meanwhile=kill_all, tag=False))
    assert {one.end for one in crowd.messages} == {"done"}
