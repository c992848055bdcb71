"""How much later the product's first token comes than its provider's, and how smoothly the rest.

The provider is scripted and the product is whole, each in processes of their own, over real HTTP.
Every message is paired with one sent to the provider directly, by the same client in the same run,
so that what the provider and the client themselves take is not counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench.exchange import Door, ProviderDoor, open_door
from tests.bench.report import Row
from tests.bench.timing import Timing
from tests.fakes.provider_process import ScriptedProvider
from tests.live import ServeProcess

# Connections are opened and modules imported by a message that is not counted.
WARM_UP_ROUNDS = 1

_MAKE_PEOPLE = """
import json, sys
from chatbot.accounts.people import create_person
from chatbot.accounts.tokens import create_token
emails = [f"NAME-{number}@bench.example" for number in range(COUNT)]
sys.stdout.write(json.dumps([create_token(create_person(email, None)) for email in emails]))
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is measured: the provider's pace, and how many people ask how often.

    `pieces` are the tokens of its answer, where others than numbered leaves are to come.
    """

    first_token_ms: float = 300.0
    token_ms: float = 20.0
    tokens: int = 100
    streams: tuple[int, ...] = (1,)
    rounds: int = 30
    doors: tuple[str, ...] = ("sse",)
    pieces: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """The tokens of one answer."""
        return len(self.pieces) or self.tokens

    @property
    def answer_s(self) -> float:
        return (self.first_token_ms + self.token_ms * self.length) / 1000

    @property
    def text(self) -> str:
        return "".join(self.pieces) or "".join(f"leaf{number} " for number in range(self.tokens))

    @property
    def messages(self) -> int:
        return len(self.doors) * sum(self.streams) * (self.rounds + WARM_UP_ROUNDS)


@dataclass(slots=True)
class Lane:
    """One person: asks, reads to the end, asks again."""

    door: Door
    provider: ProviderDoor
    pairs: list[tuple[float, Timing]] = field(default_factory=list)

    async def run(self, load: Load, *, start_after_s: float, advance: Callable[[], object]) -> None:
        await asyncio.sleep(start_after_s)
        for number in range(load.rounds + WARM_UP_ROUNDS):
            direct_s = await self.provider.first_token_s()
            timing = await self.door.ask()
            if number >= WARM_UP_ROUNDS:
                self.pairs.append((direct_s, timing))
            advance()

    async def aclose(self) -> None:
        await self.door.aclose()
        await self.provider.aclose()


@contextmanager
def running_product(load: Load) -> Iterator[tuple[ServeProcess, ScriptedProvider]]:
    pace = ("--first-token-ms", load.first_token_ms, "--token-ms", load.token_ms)
    with ScriptedProvider(*map(str, pace), "--tokens", str(load.tokens)) as provider:
        environment = {
            # Embedded mode on a folder of its own, whatever else this machine is set up for.
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "ANTHROPIC_API_KEY": "",
            "LOCAL_MODEL_URL": provider.url,
            "LOCAL_MODEL_API_KEY": "scripted",
            "GENERATION_CONCURRENCY": str(max(load.streams) + 4),
            "FREE_SENDS_PER_MINUTE": "1000000",
            "FREE_BUDGET_TOKENS": str(10**12),
            "LOG_LEVEL": "WARNING",
        }
        with ServeProcess(environment) as server:
            yield server, provider


def make_people(server: ServeProcess, name: str, count: int) -> list[str]:
    """Create accounts in the product and return their bearer tokens."""
    code = _MAKE_PEOPLE.replace("NAME", name).replace("COUNT", str(count))
    tokens: list[str] = json.loads(server.manage("shell", "-v", "0", "-c", code))
    return tokens


async def measure(
    load: Load,
    *,
    door: str,
    url: str,
    provider_url: str,
    tokens: list[str],
    advance: Callable[[], object],
) -> Row:
    lanes = [
        Lane(await open_door(door, url, token), ProviderDoor(provider_url)) for token in tokens
    ]
    # People do not all press Enter at the same moment.
    apart_s = (load.answer_s + load.first_token_ms / 1000) / len(lanes)
    try:
        async with asyncio.TaskGroup() as group:
            for number, lane in enumerate(lanes):
                group.create_task(lane.run(load, start_after_s=number * apart_s, advance=advance))
    finally:
        for lane in lanes:
            await lane.aclose()
    pairs = [pair for lane in lanes for pair in lane.pairs]
    return Row.of(pairs, door=door, streams=len(lanes), text=load.text)


def run_benchmark(load: Load, *, advance: Callable[[], object]) -> list[Row]:
    """Measure every door at every number of streams; calls `advance` after each message."""
    rows = []
    with running_product(load) as (server, provider):
        for door in load.doors:
            for streams in load.streams:
                tokens = make_people(server, f"{door}-{streams}", streams)
                rows.append(
                    asyncio.run(
                        measure(
                            load,
                            door=door,
                            url=server.url,
                            provider_url=provider.url,
                            tokens=tokens,
                            advance=advance,
                        )
                    )
                )
    return rows
