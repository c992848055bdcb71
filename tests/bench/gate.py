"""What the gate of answers takes of all the processor time that answers cost, in production mode."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.comparing import WARM_UP_STREAMS, Bench, Tally, open_bench
from tests.bench.comparison import PRODUCT_PARTS, STORE_PARTS, Side
from tests.bench.metered_worker import METER, read_meter
from tests.bench.report import table
from tests.bench.stream import Load
from tests.processes import ROOT
from tests.production import WorkerCommand

DOOR = "sse"
MAX_SHARE = 0.1
# The length of an answer that the service is designed for.
TOKENS = 500
# Prose of ours that no answer is judged by elsewhere.
PROSE = ROOT / "docs" / "streaming.md"
# As models write: a word's beginning with the space before it, or a sign; 3.6 characters.
_TOKEN = re.compile(r"\s?\w{1,5}|\s?[^\w\s]|\s+")


@dataclass(frozen=True, slots=True)
class GateShare:
    """Processor seconds per 1,000 tokens: of the gate, and of the whole product with it."""

    hold_back: int
    streams: int
    answers: int
    complete: int
    gate_s: float
    processes_s: float
    whole_s: float

    @property
    def share(self) -> float:
        return self.gate_s / self.whole_s

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share}

    def as_table(self) -> str:
        return table(
            ["hold-back", "streams", "complete", "gate", "web + worker", "with stores", "share"],
            [
                [
                    str(self.hold_back),
                    str(self.streams),
                    f"{self.complete}/{self.answers}",
                    f"{self.gate_s * 1e3:.1f} ms",
                    f"{self.processes_s * 1e3:.0f} ms",
                    f"{self.whole_s * 1e3:.0f} ms",
                    f"{self.share:.1%}",
                ]
            ],
        )


def answer_pieces() -> tuple[str, ...]:
    """Return an answer of prose, token by token."""
    return tuple(_TOKEN.findall(PROSE.read_text(encoding="utf-8"))[:TOKENS])


def measure_gate(
    *, streams: int, repeats: int, hold_back: int, advance: Callable[[], object]
) -> GateShare:
    """Put loads on the product, and count its processes' time and its gates' within it."""
    load = Load(streams=(streams,), rounds=1, doors=(DOOR,), pieces=answer_pieces())
    with ExitStack() as stack:
        meter = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "gate"
        worker = WorkerCommand(
            ("-m", "tests.bench.metered_worker"),
            {METER: str(meter), "MODERATION_HOLD_BACK": str(hold_back)},
        )
        bench = open_bench(stack, load, worker=worker)
        bench.measure(DOOR, WARM_UP_STREAMS, Tally())
        return _measure(bench, meter, hold_back, repeats=repeats, advance=advance)


def _measure(
    bench: Bench, meter: Path, hold_back: int, *, repeats: int, advance: Callable[[], object]
) -> GateShare:
    (streams,) = bench.load.streams
    tally = Tally()
    before_s = read_meter(meter)
    for _ in range(repeats):
        bench.measure(DOOR, streams, tally)
        advance()
    tally.cpu_s["gate"] = read_meter(meter) - before_s
    side = Side.of(tally.answers, tally.cpu_s, tokens=bench.load.length)
    return GateShare(
        hold_back=hold_back,
        streams=streams,
        answers=side.answers,
        complete=side.complete,
        gate_s=side.cpu_of(["gate"]),
        processes_s=side.cpu_of(PRODUCT_PARTS),
        whole_s=side.cpu_of([*PRODUCT_PARTS, *STORE_PARTS]),
    )
