"""Drawn schedules of faults, a few rounds of them; `make faults` draws more."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.plan import PROCESS_FAULTS, STORE_FAULTS, draw_round
from tests.faults.report import as_table
from tests.faults.rounds import ROUND_SCHEDULES, Arena, Tally, describe
from tests.faults.trouble import ACTS

SHORT_RUN_S = 45.0
GATE_SEED = 3000


def test_a_seed_alone_brings_a_round_back() -> None:
    assert draw_round(5, size=20) == draw_round(5, size=20)
    assert draw_round(5, size=20) != draw_round(6, size=20)


def test_every_fault_that_is_drawn_can_be_made() -> None:
    assert {*PROCESS_FAULTS, *STORE_FAULTS} == ACTS.keys()


@pytest.fixture
async def arena() -> AsyncIterator[Arena]:
    async with running_cluster() as cluster:
        arena = await Arena.open(cluster, people=ROUND_SCHEDULES)
        yield arena
        await arena.aclose()


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_no_promise_is_broken_whatever_is_killed(
    arena: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    tally, start = Tally(), time.monotonic()
    # The same rounds each time: what gates a change does not depend on luck.
    seed = GATE_SEED
    while time.monotonic() - start < SHORT_RUN_S:
        answers = await arena.run(draw_round(seed, size=ROUND_SCHEDULES), tally)
        found = describe(tally.violations, answers)
        assert not tally.violations, f"make faults SEED={seed}\n{found}"
        seed += 1
    with capsys.disabled():
        print("\n" + as_table(tally, wall_s=time.monotonic() - start))  # noqa: T201
