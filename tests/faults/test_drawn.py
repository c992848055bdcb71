"""One deck of dealt rounds, so that every kind of fault happens; `make faults` draws more."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.dealing import DECK_ROUNDS, FIRST_DEALT, TARGETS, deck_seeds, make_round
from tests.faults.plan import ANSWER_FAULTS, PROCESS_FAULTS, STORE_FAULTS
from tests.faults.report import as_table
from tests.faults.rounds import Arena, Tally, describe
from tests.faults.trouble import ACTS

# The same deck each time: what gates a change does not depend on luck.
GATE_DECK = 0
# Enough for each of its faults to meet somebody.
GATE_SCHEDULES = 40
EVERY_KIND = {*PROCESS_FAULTS, *STORE_FAULTS, *(f"answer {kind}" for kind in ANSWER_FAULTS)}


@pytest.mark.parametrize("seed", [5, FIRST_DEALT + 5], ids=["drawn", "dealt"])
def test_a_seed_alone_brings_a_round_back(seed: int) -> None:
    assert make_round(seed, size=20) == make_round(seed, size=20)
    assert make_round(seed, size=20) != make_round(seed + 1, size=20)


@pytest.mark.parametrize("deck", [GATE_DECK, 1, 2])
def test_a_deck_holds_every_fault_once_and_those_of_processes_for_each_of_them(deck: int) -> None:
    rounds = [make_round(seed, size=1) for seed in deck_seeds(deck)]
    dealt = [fault for one in rounds for fault in one.faults]
    processes = [(one.kind, one.target) for one in dealt if one.kind in PROCESS_FAULTS]
    assert sorted(processes) == sorted(
        (kind, target) for kind in PROCESS_FAULTS for target in range(TARGETS)
    )
    others = [one.kind for one in dealt if one.kind not in PROCESS_FAULTS]
    assert sorted(others) == sorted(STORE_FAULTS)
    assert {len(one.faults) for one in rounds} == {len(dealt) // DECK_ROUNDS}


def test_a_dealt_round_fails_a_call_in_each_way_and_two_in_a_row() -> None:
    (seed, *_) = deck_seeds(GATE_DECK)
    answers = [one.answers[0] for one in make_round(seed, size=GATE_SCHEDULES).schedules]
    singles, pairs = answers[: len(ANSWER_FAULTS)], answers[len(ANSWER_FAULTS) :]
    assert {len(one.provider_faults) for one in singles} == {1}
    kinds = {
        str(fault.get("status", next(iter(fault))))
        for one in singles
        for fault in one.provider_faults
    }
    assert kinds == set(ANSWER_FAULTS)
    assert {len(one.provider_faults) for one in pairs[: len(ANSWER_FAULTS)]} == {2}


def test_every_fault_that_is_drawn_can_be_made() -> None:
    assert {*PROCESS_FAULTS, *STORE_FAULTS} == ACTS.keys()


@pytest.fixture
async def arena() -> AsyncIterator[Arena]:
    async with running_cluster() as cluster:
        arena = await Arena.open(cluster, people=GATE_SCHEDULES)
        yield arena
        await arena.aclose()


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_no_promise_is_broken_whatever_is_killed(
    arena: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    tally, start = Tally(), time.monotonic()
    for seed in deck_seeds(GATE_DECK):
        answers = await arena.run(make_round(seed, size=GATE_SCHEDULES), tally)
        found = describe(tally.violations, answers)
        assert not tally.violations, f"make faults SEED={seed}\n{found}"
    with capsys.disabled():
        print("\n" + as_table(tally, wall_s=time.monotonic() - start))  # noqa: T201
    # Each kind was dealt, and each met something.
    assert not EVERY_KIND - tally.faults.keys()
    assert not EVERY_KIND - (+tally.struck).keys()
