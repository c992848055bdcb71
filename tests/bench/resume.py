"""Coming back to a live answer: early and late in it, alone and with everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.resume_cost import BLOCK, CostRow, measure_costs
from tests.bench.resuming import READERS
from tests.bench.storm import Storm, raise_storm
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production, running_production

# Held answers say nothing for as long as their resumes are measured.
PATIENCE = {"TOKEN_TIMEOUT_S": "1800", "FIRST_TOKEN_TIMEOUT_S": "1800"}
SPARE_SLOTS = 20


@dataclass(frozen=True, slots=True)
class ResumeLoad:
    deltas: int
    resumes: int
    readers: int

    @property
    def steps(self) -> int:
        blocks = -(-self.resumes // BLOCK)
        return 2 * len(READERS) * blocks + 2 * self.readers


@dataclass(frozen=True, slots=True)
class ResumeResult:
    costs: list[CostRow]
    # Scans of the table of messages while live answers were resumed.
    message_reads: int
    storm: Storm

    def broken_promises(self) -> list[str]:
        broken = [sentence for row in self.costs for sentence in row.broken_promises()]
        if self.message_reads:
            broken.append(f"Resumes read the table of messages {self.message_reads} times.")
        return broken + self.storm.broken_promises()

    def as_json(self) -> dict[str, Any]:
        return {
            "costs": [row.as_json() for row in self.costs],
            "message_reads": self.message_reads,
            "storm": self.storm.as_json(),
        }


def run_resume_benchmark(load: ResumeLoad, *, advance: Callable[[], object]) -> ResumeResult:
    """Measure all of it; calls `advance` as often as the load has steps."""
    with running_production(concurrency=load.readers + SPARE_SLOTS, environment=PATIENCE) as (
        production,
        provider,
    ):
        tokens = production.make_people("resume", load.readers)
        return asyncio.run(_measure(load, production, provider, tokens, advance))


async def _measure(
    load: ResumeLoad,
    production: Production,
    provider: ScriptedProvider,
    tokens: list[str],
    advance: Callable[[], object],
) -> ResumeResult:
    costs, reads = await measure_costs(
        production,
        provider,
        token=tokens[0],
        deltas=load.deltas,
        resumes=load.resumes,
        advance=advance,
    )
    storm = await raise_storm(production, provider, tokens=tokens, advance=advance)
    return ResumeResult(costs, reads, storm)
