"""Many rounds one after another: what a round breaks is told at once, and the run goes on."""

from __future__ import annotations

import asyncio
import subprocess
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from tests.faults.checker import Violation
from tests.faults.cluster import running_cluster
from tests.faults.dealing import make_round
from tests.faults.plan import Round
from tests.faults.report import as_table
from tests.faults.rounds import Arena, Tally, describe
from tests.processes import ProcessFailed

# After so many bad rounds there is enough to look at.
MAX_BAD_ROUNDS = 10
# How a round ends that the deployment, or the driver itself, did not live through.
BROKEN = (ExceptionGroup, OSError, ProcessFailed, RuntimeError, subprocess.SubprocessError)


@dataclass(slots=True)
class LongRun:
    """Rounds of the seeds from `first_seed` on, until `wanted` schedules have been lived through.

    `report` holds the table and the failures, and is written anew after each round: it is there
    whatever ends the run.
    """

    wanted: int
    first_seed: int
    size: int
    report: Path
    tally: Tally = field(default_factory=Tally)
    failures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        return self.tally.schedules >= self.wanted or len(self.failures) >= MAX_BAD_ROUNDS

    @property
    def is_good(self) -> bool:
        return self.tally.schedules >= self.wanted and not self.failures

    async def run(self) -> None:
        """Live through all rounds; a deployment that a round left in ruins is replaced."""
        plans = self._plans()
        with tqdm(total=self.wanted, unit="schedule", smoothing=0, mininterval=1) as bar:
            while not self.is_over:
                async with running_cluster() as cluster:
                    arena = await Arena.open(cluster, people=self.size)
                    bar.unpause()
                    try:
                        await self._live(arena, plans, bar)
                    finally:
                        await arena.aclose()

    def summary(self) -> str:
        """Return the table, and the command that repeats each round that failed."""
        table = as_table(self.tally, wall_s=time.monotonic() - self.began)
        done = f"{self.tally.schedules:,} of {self.wanted:,} schedules, from seed {self.first_seed}"
        return "\n".join([f"{done}\n", table, *(one.split("\n", 1)[0] for one in self.failures)])

    def _plans(self) -> Iterator[Round]:
        seed = self.first_seed
        while True:
            yield make_round(seed, size=self.size)
            seed += 1

    async def _live(self, arena: Arena, plans: Iterator[Round], bar: tqdm[NoReturn]) -> None:
        is_whole = True
        while is_whole and not self.is_over:
            plan = await asyncio.to_thread(next, plans)
            before = len(self.tally.violations)
            try:
                answers = await arena.run(plan, self.tally)
                told = describe(self.tally.violations[before:], answers)
            except BROKEN as exc:
                is_whole = False
                broken = Violation("a round is lived through", f"seed {plan.seed}", repr(exc))
                self.tally.violations.append(broken)
                told = "".join(traceback.format_exception(exc))
            if len(self.tally.violations) > before:
                self._fail(f"make faults SEED={plan.seed}: {plan.faults}\n{told}", bar)
            arena.cluster.bound_logs()
            bar.set_postfix_str(f"failed rounds={len(self.failures)}", refresh=False)
            bar.update(self.tally.schedules - bar.n)
            self.keep()

    def _fail(self, failure: str, bar: tqdm[NoReturn]) -> None:
        self.failures.append(failure)
        bar.write(f"\n{failure}")

    def keep(self) -> None:
        """Write what is known so far to the report."""
        self.report.parent.mkdir(parents=True, exist_ok=True)
        self.report.write_text("\n\n".join([self.summary(), *self.failures]) + "\n")
