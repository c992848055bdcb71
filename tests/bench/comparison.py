"""The product beside a bare relay, in figures, and what is promised of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.load_client import Answer
from tests.bench.report import Curve, Spread, table
from tests.bench.verdicts import Verdict

PRODUCT_PARTS = ("web", "worker")
STORE_PARTS = ("postgres", "valkey")

# What is promised of the product at so many streams.
QUIET_STREAMS = 50
MAX_BEYOND_RELAY_MS = 25.0
BUSY_STREAMS = 200
MAX_RATIO = 2.5
MAX_BUSY_OVERHEAD_MS = 150.0


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared, at one door and one number of streams."""

    answers: int
    verdicts: Mapping[str, int]
    overhead_ms: Spread
    overheads_ms: tuple[float, ...]
    peak_streams: int
    # Seconds of processor time per 1,000 tokens that arrived, of each part.
    cpu_s: Mapping[str, float]
    details: tuple[str, ...]

    @classmethod
    def of(cls, answers: Sequence[Answer], cpu_s: Mapping[str, float], *, tokens: int) -> Side:
        """Sum up answers of `tokens` tokens each, and the seconds that all of them took."""
        counts = Counter(answer.verdict.value for answer in answers)
        arrived = [answer for answer in answers if answer.first_s and answer.direct_s]
        overheads = tuple((answer.first_s - answer.direct_s) * 1000 for answer in arrived)
        thousands = max(1, counts[Verdict.COMPLETE]) * tokens / 1000
        return cls(
            answers=len(answers),
            verdicts={verdict.value: counts[verdict.value] for verdict in Verdict},
            overhead_ms=Spread.of(overheads),
            overheads_ms=overheads,
            peak_streams=peak_streams(answers),
            cpu_s={part: spent / thousands for part, spent in cpu_s.items()},
            details=tuple(answer.detail for answer in answers if answer.detail)[:3],
        )

    @property
    def complete(self) -> int:
        return self.verdicts[Verdict.COMPLETE]

    def cpu_of(self, parts: Iterable[str]) -> float:
        return sum(self.cpu_s.get(part, 0.0) for part in parts)


def peak_streams(answers: Iterable[Answer]) -> int:
    """Return how many answers were under way at once, at most."""
    edges = [(answer.asked_at, 1) for answer in answers]
    edges += [(answer.ended_at, -1) for answer in answers]
    peak = now = 0
    for _, step in sorted(edges):
        now += step
        peak = max(peak, now)
    return peak


@dataclass(frozen=True, slots=True)
class Comparison:
    door: str
    streams: int
    relay: Side
    product: Side

    @property
    def product_cpu_s(self) -> float:
        return self.product.cpu_of(PRODUCT_PARTS)

    @property
    def relay_cpu_s(self) -> float:
        return self.relay.cpu_of(("relay",))

    @property
    def ratio(self) -> float:
        return self.product_cpu_s / self.relay_cpu_s if self.relay_cpu_s else 0.0

    @property
    def ratio_with_stores(self) -> float:
        whole = self.product_cpu_s + self.product.cpu_of(STORE_PARTS)
        return whole / self.relay_cpu_s if self.relay_cpu_s else 0.0

    def broken_promises(self) -> list[str]:
        """Return a sentence for each promise that these figures do not keep."""
        where = f"{self.door}, {self.streams} streams"
        p95_ms, relay_ms = self.product.overhead_ms.p95, self.relay.overhead_ms.p95
        broken = []
        if self.streams == BUSY_STREAMS and self.ratio > MAX_RATIO:
            broken.append(f"{where}: {self.ratio:.2f} times the relay's CPU, over {MAX_RATIO}.")
        if self.streams == BUSY_STREAMS and p95_ms > MAX_BUSY_OVERHEAD_MS:
            broken.append(f"{where}: p95 {p95_ms:.0f} ms, over {MAX_BUSY_OVERHEAD_MS:.0f} ms.")
        if self.streams == QUIET_STREAMS and p95_ms > relay_ms + MAX_BEYOND_RELAY_MS:
            broken.append(
                f"{where}: p95 {p95_ms:.0f} ms, more than {MAX_BEYOND_RELAY_MS:.0f} ms over the "
                f"relay's {relay_ms:.0f} ms."
            )
        if self.product.complete < self.product.answers:
            broken.append(f"{where}: {verdict_words(self.product)} (complete/lost/twice/failed).")
        return broken

    def curves(self) -> list[Curve]:
        return [
            (f"{name}, {self.door}, {self.streams}", side.overheads_ms)
            for name, side in (("relay", self.relay), ("Parley", self.product))
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "ratio": self.ratio,
            "ratio_with_stores": self.ratio_with_stores,
        }


def verdict_words(side: Side) -> str:
    return " / ".join(str(side.verdicts[verdict]) for verdict in Verdict)


Column = tuple[str, Callable[[Comparison], str]]

_FIRST_TOKENS: Sequence[Column] = (
    ("door", lambda row: row.door),
    ("streams", lambda row: str(row.streams)),
    ("at once", lambda row: str(row.product.peak_streams)),
    ("relay adds, ms", lambda row: str(row.relay.overhead_ms)),
    ("Parley adds, ms", lambda row: str(row.product.overhead_ms)),
    ("relay complete", lambda row: f"{row.relay.complete}/{row.relay.answers}"),
    ("complete / lost / twice / failed", lambda row: verdict_words(row.product)),
)
_CPU: Sequence[Column] = (
    ("door", lambda row: row.door),
    ("streams", lambda row: str(row.streams)),
    ("relay", lambda row: f"{row.relay_cpu_s:.3f}"),
    ("web", lambda row: f"{row.product.cpu_of(['web']):.3f}"),
    ("worker", lambda row: f"{row.product.cpu_of(['worker']):.3f}"),
    ("web + worker", lambda row: f"{row.product_cpu_s:.3f}"),
    ("ratio", lambda row: f"{row.ratio:.2f}"),
    ("PostgreSQL", lambda row: f"{row.product.cpu_of(['postgres']):.3f}"),
    ("Valkey", lambda row: f"{row.product.cpu_of(['valkey']):.3f}"),
    ("ratio with stores", lambda row: f"{row.ratio_with_stores:.2f}"),
    (
        "provider (relay / Parley)",
        lambda row: (
            f"{row.relay.cpu_of(['provider']):.3f} / {row.product.cpu_of(['provider']):.3f}"
        ),
    ),
    (
        "client (relay / Parley)",
        lambda row: f"{row.relay.cpu_of(['client']):.3f} / {row.product.cpu_of(['client']):.3f}",
    ),
)


def as_tables(rows: Sequence[Comparison]) -> str:
    """Return first tokens and completeness, then CPU seconds per 1,000 tokens, as Markdown."""
    first_tokens, cpu = (
        table([title for title, _ in columns], [[show(row) for _, show in columns] for row in rows])
        for columns in (_FIRST_TOKENS, _CPU)
    )
    return (
        f"First token beyond the provider's own, p50 / p95 / max:\n\n{first_tokens}\n\n"
        f"CPU seconds per 1,000 tokens:\n\n{cpu}"
    )
