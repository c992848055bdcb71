"""Whether coming back to a long answer costs more than coming back to a short one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from tests.bench.message_reads import message_reads
from tests.bench.report import Spread, table
from tests.bench.resuming import READERS, Place, SseReader, begin_answer, shows_event
from tests.bench.usage import CpuMeter
from tests.fakes.choosing import tagged
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production

# A resume replays so many deltas, at the 10th of a short answer as at the last of a long one.
REPLAYED = 10
SHORT_TOKENS = 20
# Slower than the ticks of the event log: each token becomes a delta of its own, or nearly each.
LONG_TOKEN_MS = 12.0
SPARE = 1.15
# Resumes of one answer before those of the other: what else the machine does falls on both.
BLOCK = 25
MAX_RATIO = 1.5
FOLLOW_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What resumes of one answer took: each until its first delta."""

    deltas: int
    resumes: int
    latency_ms: Spread
    cpu_ms: float
    stores_cpu_ms: float


@dataclass(frozen=True, slots=True)
class CostRow:
    door: str
    short: Cost
    long: Cost

    @property
    def latency_ratio(self) -> float:
        return self.long.latency_ms.p50 / self.short.latency_ms.p50

    @property
    def cpu_ratio(self) -> float:
        return self.long.cpu_ms / self.short.cpu_ms if self.short.cpu_ms else 0.0

    def broken_promises(self) -> list[str]:
        where = f"{self.door}, at delta {self.long.deltas}"
        ratios = (("latency", self.latency_ratio), ("CPU", self.cpu_ratio))
        return [
            f"{where}: {ratio:.2f} times the {name} of a short answer, over {MAX_RATIO}."
            for name, ratio in ratios
            if ratio > MAX_RATIO
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "latency_ratio": self.latency_ratio,
            "cpu_ratio": self.cpu_ratio,
        }


def cost_table(rows: list[CostRow]) -> str:
    titles = ["door", "at delta", "resumes", "until the first delta, ms", "web CPU, ms"]
    titles += ["stores' CPU, ms", "latency ratio", "CPU ratio"]
    cells = []
    for row in rows:
        for cost, ratios in (
            (row.short, ["", ""]),
            (row.long, [f"{row.latency_ratio:.2f}", f"{row.cpu_ratio:.2f}"]),
        ):
            figures = [f"{cost.deltas:,}", str(cost.resumes), str(cost.latency_ms)]
            figures += [f"{cost.cpu_ms:.2f}", f"{cost.stores_cpu_ms:.2f}"]
            cells.append([row.door, *figures, *ratios])
    return table(titles, cells)


def long_tokens(deltas: int) -> int:
    """Return how many tokens to write for so many deltas: ticks may join some."""
    return int((deltas + REPLAYED) * SPARE)


def scripts(deltas: int) -> dict[str, list[dict[str, Any]]]:
    """Return two answers that stay unfinished until they are released."""
    tokens = long_tokens(deltas)
    return {
        "short": [{"tokens": SHORT_TOKENS, "token_ms": 30.0, "hold_after": SHORT_TOKENS}],
        "long": [{"tokens": tokens, "token_ms": LONG_TOKEN_MS, "hold_after": tokens}],
    }


@dataclass(frozen=True, slots=True)
class Held:
    """An answer that is held at its last token, and a cursor `REPLAYED` deltas before."""

    place: Place
    deltas: int
    cursor: str


async def follow_to(place: Place, word: str) -> Held:
    """Return an answer once it has come to a word."""
    wanted = word.encode()
    reader = SseReader(place)
    await reader.resume("", lambda piece: wanted in piece)
    async with asyncio.timeout(FOLLOW_TIMEOUT_S):
        await reader.ended()
    last = list(reader.happenings())[-1]
    reader.close()
    attempt, seq = map(int, last.id.split("-"))
    # The first event of an attempt is `started`; the others so far are deltas.
    return Held(place, seq - 1 - REPLAYED, f"{attempt}-{seq - REPLAYED}")


async def measure_costs(
    production: Production,
    provider: ScriptedProvider,
    *,
    token: str,
    deltas: int,
    resumes: int,
    advance: Callable[[], object],
) -> tuple[list[CostRow], int]:
    """Measure resumes by each door, and count the scans of the table of messages meanwhile.

    Calls `advance` after each block of resumes.
    """
    provider.script_tags(scripts(deltas))
    url = production.webs[0].url
    held = []
    for tag, tokens in (("short", SHORT_TOKENS), ("long", long_tokens(deltas))):
        place = await begin_answer(url, token, tagged("Tell me.", tag))
        held.append(await follow_to(place, f"leaf{tokens - 1} "))
    reads = await message_reads(production.postgres.url)
    rows = [
        await _compare(production, door, held, resumes=resumes, advance=advance) for door in READERS
    ]
    reads = await message_reads(production.postgres.url) - reads
    provider.release()
    return rows, reads


async def _compare(
    production: Production,
    door: str,
    held: list[Held],
    *,
    resumes: int,
    advance: Callable[[], object],
) -> CostRow:
    meter = CpuMeter(
        {
            "web": production.webs[0].pid,
            "postgres": production.postgres.pid,
            "valkey": production.valkey.pid,
        }
    )
    latencies: list[list[float]] = [[] for _ in held]
    spent = [dict.fromkeys(meter.lap(), 0.0) for _ in held]
    for _ in range(-(-resumes // BLOCK)):
        for number, answer in enumerate(held):
            meter.lap()
            for _ in range(BLOCK):
                latencies[number].append(await _resume(door, answer))
            for part, seconds in meter.lap().items():
                spent[number][part] += seconds
            advance()
    short, long = (
        Cost(
            deltas=answer.deltas,
            resumes=len(took),
            latency_ms=Spread.of(took),
            cpu_ms=1000 * cpu["web"] / len(took),
            stores_cpu_ms=1000 * (cpu["postgres"] + cpu["valkey"]) / len(took),
        )
        for answer, took, cpu in zip(held, latencies, spent, strict=True)
    )
    return CostRow(door, short, long)


async def _resume(door: str, answer: Held) -> float:
    """Return the milliseconds from connecting to the first delta after the cursor."""
    reader = READERS[door](answer.place)
    began_at = monotonic()
    await reader.resume(answer.cursor, shows_event)
    async with asyncio.timeout(FOLLOW_TIMEOUT_S):
        await reader.ended()
    came_at = next(one.at for one in reader.happenings() if one.event == "delta")
    reader.close()
    return (came_at - began_at) * 1000
