"""What happens when everybody who reads comes back within the same second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from tests.bench.doors import Happening
from tests.bench.frames import HandshakeRefused
from tests.bench.message_reads import message_reads
from tests.bench.report import Spread, table
from tests.bench.resuming import READERS, Place, Reader, begin_answer
from tests.bench.timing import Timing
from tests.bench.verdicts import Verdict, judge
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production
from tests.sse import TERMINAL

DOORS = tuple(READERS)
TOKEN_MS = 200.0
# New answers a second while the readers gather: fewer than one web process takes.
GATHER_PER_S = 25.0
# The network is away for so long; then everybody is back within a second.
AWAY_S = 1.0
RETURN_S = 1.0
# Reading the counters twice, the storm itself, and room for a busy machine.
LIVE_S = 60.0
MAX_P95_MS = 1000.0
UNREACHED = (OSError, TimeoutError, HandshakeRefused)
END_TIMEOUT_S = 180.0


@dataclass(slots=True)
class Return:
    """One reader: what it read before and after it was cut off."""

    place: Place
    door: str
    before: Reader
    seen: list[Happening] = field(default_factory=list)
    after: Reader | None = None
    asked_at: float = 0.0
    problem: str = ""

    def cut_off(self) -> None:
        self.before.close()
        self.seen = list(self.before.happenings())

    @property
    def has_ended(self) -> bool:
        rest = [] if self.after is None else list(self.after.happenings())
        return bool(rest) and rest[-1].event in TERMINAL

    def first_event_ms(self) -> float | None:
        """Return how long the first event after the cursor took, from connecting."""
        if self.after is None:
            return None
        came = next(iter(self.after.happenings()), None)
        return None if came is None else (came.at - self.asked_at) * 1000

    def verdict(self, expected: str) -> Verdict:
        timing = Timing()
        rest = [] if self.after is None else list(self.after.happenings())
        for one in (*self.seen, *rest):
            timing.note(one.at, one.event, one.data)
        return judge(timing, expected)


@dataclass(frozen=True, slots=True)
class StormRow:
    door: str
    readers: int
    first_event_ms: Spread
    without_event: int
    verdicts: dict[str, int]
    problems: tuple[str, ...]

    @classmethod
    def of(cls, door: str, returns: list[Return], expected: str) -> StormRow:
        times = [one.first_event_ms() for one in returns]
        verdicts = [one.verdict(expected) for one in returns]
        return cls(
            door=door,
            readers=len(returns),
            first_event_ms=Spread.of(ms for ms in times if ms is not None),
            without_event=sum(ms is None for ms in times),
            verdicts={verdict.value: verdicts.count(verdict) for verdict in Verdict},
            problems=tuple(one.problem for one in returns if one.problem)[:3],
        )

    def broken_promises(self) -> list[str]:
        broken = []
        if self.first_event_ms.p95 > MAX_P95_MS:
            broken.append(f"{self.door}: p95 {self.first_event_ms.p95:.0f} ms after the storm.")
        if self.without_event or self.verdicts[Verdict.COMPLETE] < self.readers:
            broken.append(
                f"{self.door}: {self.without_event} without an event, {self.verdicts} "
                f"{'; '.join(self.problems)}"
            )
        return broken


@dataclass(frozen=True, slots=True)
class Storm:
    rows: list[StormRow]
    # Scans of the table of messages from the cut until all were back, and answers that ended
    # meanwhile: these are stored, and that is counted too.
    message_reads: int
    ended: int = 0

    def broken_promises(self) -> list[str]:
        broken = [sentence for row in self.rows for sentence in row.broken_promises()]
        if self.message_reads:
            broken.append(f"The table of messages was read {self.message_reads} times.")
        return broken

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def storm_table(storm: Storm) -> str:
    titles = ["door", "readers", "first event after the cursor, ms", "without one"]
    titles += ["complete / lost / twice / failed"]
    cells = [
        [
            row.door,
            str(row.readers),
            str(row.first_event_ms),
            str(row.without_event),
            " / ".join(str(row.verdicts[verdict]) for verdict in Verdict),
        ]
        for row in storm.rows
    ]
    reads = f"Reads of the table of messages: {storm.message_reads}"
    if storm.ended:
        reads += f" ({storm.ended} answers ended and were stored meanwhile)"
    return f"{table(titles, cells)}\n\n{reads}"


def script(readers: int) -> dict[str, Any]:
    """Return an answer that is still being written when the last reader is back."""
    live_s = readers / GATHER_PER_S + LIVE_S
    return {"tokens": int(live_s * 1000 / TOKEN_MS), "token_ms": TOKEN_MS}


def expected_text(readers: int) -> str:
    return "".join(f"leaf{number} " for number in range(script(readers)["tokens"]))


async def raise_storm(
    production: Production,
    provider: ScriptedProvider,
    *,
    tokens: list[str],
    advance: Callable[[], object],
) -> Storm:
    """Cut off a reader for each account and let them return; calls `advance` for each."""
    provider.script(**script(len(tokens)))
    # One after the other, so that each process has as many readers by either door.
    urls = [web.url for web in production.webs for _ in DOORS]
    async with asyncio.TaskGroup() as group:
        joining = [
            group.create_task(_join(urls[number % len(urls)], token, number, advance))
            for number, token in enumerate(tokens)
        ]
    returns = [task.result() for task in joining]
    reads = await message_reads(production.postgres.url)
    for one in returns:
        # What takes the client time is done before anything is timed.
        one.cut_off()
    await asyncio.sleep(AWAY_S)
    async with asyncio.TaskGroup() as group:
        for number, one in enumerate(returns):
            group.create_task(_come_back(one, RETURN_S * number / len(returns)))
    reads = await message_reads(production.postgres.url) - reads
    # An answer that is stored is looked up, whoever reads it.
    ended = sum(one.has_ended for one in returns)
    async with asyncio.TaskGroup() as group:
        for one in returns:
            group.create_task(_read_to_end(one, advance))
    expected = expected_text(len(tokens))
    rows = [
        StormRow.of(door, [one for one in returns if one.door == door], expected) for door in DOORS
    ]
    return Storm(rows, reads, ended)


async def _join(url: str, token: str, number: int, advance: Callable[[], object]) -> Return:
    await asyncio.sleep(number / GATHER_PER_S)
    door = DOORS[number % len(DOORS)]
    place = await begin_answer(url, token, "Tell me.")
    joined = Return(place, door, READERS[door](place))
    try:
        await joined.before.resume("")
    except UNREACHED as exc:
        joined.problem = repr(exc)
    advance()
    return joined


async def _come_back(one: Return, after_s: float) -> None:
    await asyncio.sleep(after_s)
    reader = READERS[one.door](one.place)
    one.asked_at = monotonic()
    try:
        await reader.resume(one.seen[-1].id if one.seen else "")
    except UNREACHED as exc:
        one.problem = repr(exc)
        return
    one.after = reader


async def _read_to_end(one: Return, advance: Callable[[], object]) -> None:
    if one.after is not None:
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await one.after.ended()
        except TimeoutError:
            one.problem = "the answer did not end"
        one.after.close()
    advance()
