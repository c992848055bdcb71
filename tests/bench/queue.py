"""The benchmark of the line: two crowds before a provider that takes few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.crowd import Crowd, Group, as_table, gather_crowd, script_lengths
from tests.bench.plot import line_chart
from tests.production import running_production

# What docs/queue.md promises.
LEAST_FAIRNESS = 0.95
MOST_ERROR = 0.25
# Calls that were one too many, as a share of all: each one halves the limit.
MOST_REFUSED = 0.1

CROWDS: Mapping[str, Sequence[Group]] = {
    "even": [Group("even", people=50, messages=10)],
    "uneven": [
        Group("many", people=4, messages=75),
        Group("single", people=50, messages=1, after_s=3, every_s=0.5),
        Group("paid", people=10, messages=5, plan="pro", after_s=8),
    ],
}


@dataclass(slots=True)
class QueueResult:
    """What each crowd found, by its name."""

    at_once: int
    crowds: dict[str, Crowd] = field(default_factory=dict)

    def table(self) -> str:
        return "\n".join(
            f"{name}, {self.at_once} at once\n\n{as_table(crowd.figures())}"
            for name, crowd in self.crowds.items()
        )

    def chart(self) -> str:
        """Return calls over time: what we thought would be taken, and what was."""
        samples = self.crowds["even"].samples
        curves = [
            ("limit", [(one.at, one.limit) for one in samples]),
            ("in flight", [(one.at, float(one.in_flight)) for one in samples]),
            ("served", [(one.at, float(one.serving)) for one in samples]),
        ]
        return line_chart(curves, along="seconds since 500 messages were sent", up="calls")

    def as_json(self) -> dict[str, object]:
        return {name: crowd.as_json() for name, crowd in self.crowds.items()}

    def broken_promises(self) -> Iterator[str]:
        for name, crowd in self.crowds.items():
            figures = crowd.figures()
            if figures["answered"] < figures["messages"]:
                yield f"{name}: {figures['messages'] - figures['answered']:.0f} were not answered"
            for what, value in figures.items():
                if what.startswith("fairness") and value < LEAST_FAIRNESS:
                    yield f"{name}: {what} is {value:.3f}"
            if figures["median error of estimates"] > MOST_ERROR:
                yield f"{name}: estimates are wrong by {figures['median error of estimates']:.0%}"
            if figures["refused calls"] > MOST_REFUSED * figures["messages"]:
                yield f"{name}: {figures['refused calls']:.0f} calls were refused"
            if figures["places that rose"]:
                yield f"{name}: {figures['places that rose']:.0f} places rose"


def run_queue_benchmark(*, at_once: int, names: Sequence[str] = tuple(CROWDS)) -> QueueResult:
    """Let each crowd ask a deployment of its own: two web processes and two workers."""
    result = QueueResult(at_once)
    for name in names:
        with running_production(webs=2, workers=2) as (production, provider):
            script_lengths(provider)
            provider.limit(at_once)
            crowd = gather_crowd(production, provider, CROWDS[name])
            result.crowds[name] = asyncio.run(crowd)
    return result
