"""Runs the product in production mode and a bare relay, in turn, under the same load.

One web process, one worker, PostgreSQL and Valkey; persistence, encryption and resume are on. The
relay stands beside it, on the same provider and asked by the same client. Loads alternate between
the two, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.comparison import Comparison, Side
from tests.bench.load_client import Answer, Job
from tests.bench.load_process import ready_clients, run_load
from tests.bench.relay_process import running_relay
from tests.bench.stream import Load
from tests.bench.usage import CpuMeter
from tests.production import PLAIN_WORKER, Production, WorkerCommand, running_production

# Modules are imported and pools filled by a load that is not counted.
WARM_UP_STREAMS = 20
# What the processes still do for the last answers when their readers have them.
SETTLE_S = 0.5
# Answers that are still being settled when a new load begins.
SPARE_SLOTS = 20


@dataclass(slots=True)
class Tally:
    """Answers and seconds of one side, over all repeats."""

    answers: list[Answer] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)

    def add(self, answers: list[Answer], cpu_s: dict[str, float]) -> None:
        self.answers += answers
        for part, spent in cpu_s.items():
            self.cpu_s[part] = self.cpu_s.get(part, 0.0) + spent


@dataclass(slots=True)
class Bench:
    """Everything that runs, and what it takes to put one load on it."""

    load: Load
    production: Production
    provider_url: str
    relay_url: str
    product_pids: dict[str, int]
    relay_pids: dict[str, int]
    tokens: list[str]

    def measure(self, door: str, streams: int, tally: Tally) -> None:
        """Put one load on one door, and add what came of it."""
        is_relay = door.startswith("relay")
        apart_s = self.load.answer_s / streams
        job = Job(
            door=door,
            url=self.relay_url if is_relay else self.production.webs[0].url,
            provider_url=self.provider_url,
            tokens=self.tokens[:streams],
            starts_s=[number * apart_s for number in range(streams)],
            rounds=self.load.rounds,
            text=self.load.text,
        )
        with ready_clients(job) as clients:
            meter = CpuMeter(self.relay_pids if is_relay else self.product_pids)
            outcome = run_load(clients)
            time.sleep(SETTLE_S)
            tally.add(outcome.answers, {**meter.lap(), "client": outcome.cpu_s})

    def compare(
        self, door: str, streams: int, *, repeats: int, advance: Callable[[], object]
    ) -> Comparison:
        relay, product = Tally(), Tally()
        for _ in range(repeats):
            self.measure(f"relay-{door}", streams, relay)
            self.measure(door, streams, product)
            advance()
        return Comparison(
            door=door,
            streams=streams,
            relay=Side.of(relay.answers, relay.cpu_s, tokens=self.load.tokens),
            product=Side.of(product.answers, product.cpu_s, tokens=self.load.tokens),
        )


def open_bench(stack: ExitStack, load: Load, *, worker: WorkerCommand = PLAIN_WORKER) -> Bench:
    """Start everything that the benchmark needs, until the stack is unwound."""
    most = max(*load.streams, WARM_UP_STREAMS)
    pace = ("--first-token-ms", str(load.first_token_ms), "--token-ms", str(load.token_ms))
    production, provider = stack.enter_context(
        running_production(
            concurrency=most + SPARE_SLOTS,
            # Its connections are kept from answer to answer, as the relay's are.
            is_hosted=True,
            provider_arguments=(*pace, "--tokens", str(load.tokens)),
            worker=worker,
        )
    )
    if load.pieces:
        provider.script(
            first_token_ms=load.first_token_ms, token_ms=load.token_ms, chunks=list(load.pieces)
        )
    direct = {"first_token_ms": load.first_token_ms, "tokens": 1}
    provider.script_tags({"direct": [direct]})
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    relay, relay_url = stack.enter_context(running_relay(folder, provider.url))
    return Bench(
        load=load,
        production=production,
        provider_url=provider.url,
        relay_url=relay_url,
        product_pids={**product_pids(production), "provider": provider.pid},
        relay_pids={"relay": relay.pid, "provider": provider.pid},
        tokens=production.make_people("bench", most),
    )


def product_pids(production: Production) -> dict[str, int]:
    return {
        "web": production.webs[0].pid,
        "worker": production.workers[0].pid,
        "postgres": production.postgres.pid,
        "valkey": production.valkey.pid,
    }


def run_comparison(load: Load, *, repeats: int, advance: Callable[[], object]) -> list[Comparison]:
    """Measure every door at every number of streams; calls `advance` after each repeat."""
    with ExitStack() as stack:
        bench = open_bench(stack, load)
        for door in load.doors:
            for side in (f"relay-{door}", door):
                bench.measure(side, WARM_UP_STREAMS, Tally())
        return [
            bench.compare(door, streams, repeats=repeats, advance=advance)
            for door in load.doors
            for streams in load.streams
        ]
