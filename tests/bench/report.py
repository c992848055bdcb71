"""Figures of a benchmark, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.timing import Timing


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie, between neighbours by proportion."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


@dataclass(frozen=True, slots=True)
class Spread:
    p50: float
    p95: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        kept = list(values) or [0.0]
        return cls(percentile(kept, 0.5), percentile(kept, 0.95), max(kept))

    def __str__(self) -> str:
        return f"{self.p50:.1f} / {self.p95:.1f} / {self.max:.1f}"


# What a chart draws: a name, and values.
Curve = tuple[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One door under one number of streams; all times in milliseconds."""

    door: str
    streams: int
    messages: int
    complete: int
    provider_ms: Spread
    first_event_ms: Spread
    overhead_ms: Spread
    gap_ms: Spread
    total_ms: Spread
    overheads_ms: tuple[float, ...]

    @classmethod
    def of(
        cls, pairs: Sequence[tuple[float, Timing]], *, door: str, streams: int, text: str
    ) -> Row:
        overheads = [(timing.delta_s[0] - direct_s) * 1000 for direct_s, timing in pairs]
        timings = [timing for _, timing in pairs]
        return cls(
            door=door,
            streams=streams,
            messages=len(pairs),
            complete=sum(timing.end == "done" and timing.text == text for timing in timings),
            provider_ms=Spread.of(direct_s * 1000 for direct_s, _ in pairs),
            first_event_ms=Spread.of(timing.first_event_s * 1000 for timing in timings),
            overhead_ms=Spread.of(overheads),
            gap_ms=Spread.of(gap_s * 1000 for timing in timings for gap_s in timing.gaps_s),
            total_ms=Spread.of(timing.total_s * 1000 for timing in timings),
            overheads_ms=tuple(overheads),
        )

    def curves(self) -> list[Curve]:
        return [(f"{self.door}, {self.streams} at once", self.overheads_ms)]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_COLUMNS = (
    ("door", lambda row: row.door),
    ("streams", lambda row: str(row.streams)),
    ("complete", lambda row: f"{row.complete}/{row.messages}"),
    ("provider first token", lambda row: str(row.provider_ms)),
    ("added to first token", lambda row: str(row.overhead_ms)),
    ("first event", lambda row: str(row.first_event_ms)),
    ("gap between deltas", lambda row: str(row.gap_ms)),
    ("whole answer", lambda row: str(row.total_ms)),
)


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table; each time is `p50 / p95 / max` in milliseconds."""
    return table(
        [title for title, _ in _COLUMNS], [[show(row) for _, show in _COLUMNS] for row in rows]
    )


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with its columns aligned."""
    cells = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
