"""Whether web, worker and Valkey keep anything of the answers that have ended."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.comparison import PRODUCT_PARTS
from tests.bench.doors import SocketDoor, SseDoor, as_timing
from tests.bench.report import table
from tests.bench.usage import rss_mib
from tests.bench.verdicts import Verdict, judge
from tests.production import Production, running_production

# Answers are short: what matters is how many have come and gone.
TOKENS = 5
ANSWERS_PER_CONVERSATION = 4
RETENTION_S = 2.0
# Logs past their time are gone, rows are settled, and the collector has had its turn.
SETTLE_S = RETENTION_S + 2.0
MAX_GROWTH = 0.05
SPARE_SLOTS = 8

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class MemoryLoad:
    answers: int = 10_000
    # RSS is read after each step; the first is what the last is compared with.
    step: int = 1_000
    lanes: int = 40


@dataclass(frozen=True, slots=True)
class Sample:
    answers: int
    incomplete: int
    rss_mib: dict[str, float]
    # Valkey's keys with ids and numbers left out, and how many of each.
    keys: dict[str, int]
    answers_per_s: float


@dataclass(frozen=True, slots=True)
class MemoryResult:
    samples: list[Sample]

    def growth(self, part: str) -> float:
        """Return how much a process grew from the first to the last sample, as a share."""
        return self.samples[-1].rss_mib[part] / self.samples[0].rss_mib[part] - 1

    def broken_promises(self) -> list[str]:
        broken = [
            f"{part} grew by {self.growth(part):.1%}, over {MAX_GROWTH:.0%}."
            for part in PRODUCT_PARTS
            if self.growth(part) > MAX_GROWTH
        ]
        incomplete = sum(sample.incomplete for sample in self.samples)
        if incomplete:
            broken.append(f"{incomplete} answers did not arrive whole.")
        logs = {name: count for name, count in self.samples[-1].keys.items() if is_log(name)}
        if logs:
            broken.append(f"Valkey keeps logs of answers that have ended: {logs}.")
        return broken

    def as_json(self) -> dict[str, Any]:
        growth = {part: self.growth(part) for part in PRODUCT_PARTS}
        return {**asdict(self), "growth": growth}


def is_log(pattern: str) -> bool:
    return pattern.startswith("log:")


def key_patterns(keys: Iterable[str]) -> dict[str, int]:
    """Return how many keys there are of each kind."""
    return dict(Counter(_NUMBER.sub("#", _UUID.sub("*", key)) for key in keys))


def memory_table(result: MemoryResult) -> str:
    titles = ["answers", "not whole", "answers/s", "web, MiB", "worker, MiB", "keys in Valkey"]
    cells = [
        [
            f"{sample.answers:,}",
            str(sample.incomplete),
            f"{sample.answers_per_s:.0f}",
            *(f"{sample.rss_mib[part]:.1f}" for part in PRODUCT_PARTS),
            ", ".join(f"{count} {name}" for name, count in sorted(sample.keys.items())) or "none",
        ]
        for sample in result.samples
    ]
    growth = ", ".join(f"{part} {result.growth(part):+.1%}" for part in PRODUCT_PARTS)
    return f"{table(titles, cells)}\n\nFrom the first line to the last: {growth}"


class Lane:
    """One person, by HTTP or by WebSocket: some answers in a conversation, then the next one."""

    def __init__(self, url: str, token: str, *, has_socket: bool) -> None:
        self._http = SseDoor(url, token)
        self._socket = SocketDoor(url, token, "") if has_socket else None
        self._asked = 0

    async def ask(self) -> Verdict:
        if self._asked % ANSWERS_PER_CONVERSATION == 0:
            conversation_id = await self._http.open_conversation()
            if self._socket is not None:
                self._socket.turn_to(conversation_id)
        self._asked += 1
        door = self._socket or self._http
        await door.get_ready()
        received = await door.ask()
        return judge(as_timing(received, door.happenings(received)), expected_text())

    def close(self) -> None:
        self._http.close()
        if self._socket is not None:
            self._socket.close()


def expected_text() -> str:
    return "".join(f"leaf{number} " for number in range(TOKENS))


def run_memory_benchmark(load: MemoryLoad, *, advance: Callable[[], object]) -> MemoryResult:
    """Let answers come and go, and read the memory in between; calls `advance` for each."""
    with running_production(
        concurrency=load.lanes + SPARE_SLOTS,
        environment={"EVENT_LOG_RETENTION_S": str(RETENTION_S)},
        provider_arguments=("--tokens", str(TOKENS)),
    ) as (production, _):
        tokens = production.make_people("memory", load.lanes)
        return asyncio.run(_measure(load, production, tokens, advance))


async def _measure(
    load: MemoryLoad, production: Production, tokens: list[str], advance: Callable[[], object]
) -> MemoryResult:
    url = production.webs[0].url
    lanes = [Lane(url, token, has_socket=bool(number % 2)) for number, token in enumerate(tokens)]
    samples = []
    for done in range(load.step, load.answers + 1, load.step):
        began_at = time.monotonic()
        incomplete = await _answer(lanes, load.step, advance)
        took_s = time.monotonic() - began_at
        await asyncio.sleep(SETTLE_S)
        samples.append(
            Sample(done, incomplete, _memory(production), _keys(production), load.step / took_s)
        )
    for lane in lanes:
        lane.close()
    return MemoryResult(samples)


async def _answer(lanes: list[Lane], count: int, advance: Callable[[], object]) -> int:
    """Have so many answers written by all lanes; return how many did not arrive whole."""
    left = count
    incomplete = 0

    async def work(lane: Lane) -> None:
        nonlocal left, incomplete
        while left > 0:
            left -= 1
            incomplete += await lane.ask() is not Verdict.COMPLETE
            advance()

    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(work(lane))
    return incomplete


def _memory(production: Production) -> dict[str, float]:
    pids = (production.webs[0].pid, production.workers[0].pid)
    return {part: rss_mib(pid) for part, pid in zip(PRODUCT_PARTS, pids, strict=True)}


def _keys(production: Production) -> dict[str, int]:
    with production.valkey.client() as client:
        return key_patterns(key.decode() for key in client.scan_iter(count=1000))
