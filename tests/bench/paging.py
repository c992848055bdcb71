"""How long pages take to read, against what is promised of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from tests.bench.report import Spread, table

PROMISED_MS = 10.0


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page of something, and the milliseconds that it took."""

    of: str
    page: str
    ms: Spread


@dataclass(frozen=True, slots=True)
class PagesResult:
    """All pages that were measured; `what` they are pages of, `plans` what is wrong with those."""

    what: str
    vendor: str
    rows: tuple[PageRow, ...]
    plans: tuple[str, ...]

    def table(self) -> str:
        lines = [[one.of, one.page, str(one.ms)] for one in self.rows]
        return f"{self.what} on {self.vendor}\n\n" + table(["of", "page", "ms"], lines)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def broken_promises(self) -> Iterator[str]:
        yield from self.plans
        if self.vendor != "postgresql":
            return
        for one in self.rows:
            if one.ms.p95 > PROMISED_MS:
                yield f"{one.of}, {one.page}: {one.ms.p95:.1f} ms, promised {PROMISED_MS:.0f}"


def measure(read: Callable[[], object], rounds: int) -> Spread:
    """Read so many times, and return how long it took in milliseconds."""
    times: list[float] = []
    for _ in range(rounds):
        begun = perf_counter()
        read()
        times.append((perf_counter() - begun) * 1000)
    return Spread.of(times)
