"""Many people who ask at once a provider that takes few: who waits, for how long, and is told what.

Every process is real; see `tests/production.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from time import monotonic

import aiohttp
import redis

from tests.bench.fairness import Asked, summarise
from tests.fakes.choosing import tagged
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production
from tests.sse import TERMINAL, read_frames

SLOTS = "admission:slots:local"
LANE = "admission:lane:local"
SAMPLE_S = 0.05
FIRST_TOKEN_MS = 300.0
TOKEN_MS = 20.0
# Answers are of some lengths, in tokens.
LENGTHS = (10, 40, 70, 100, 160)


@dataclass(frozen=True, slots=True)
class Group:
    """People alike: each sends so many messages, the first of all after `after_s` seconds.

    With `every_s`, one person comes after another; without, all at once.
    """

    name: str
    people: int
    messages: int
    plan: str = "free"
    after_s: float = 0.0
    every_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the provider served, and what our limit was, at one moment."""

    at: float
    serving: int
    refused: int
    in_flight: int
    limit: float


@dataclass(slots=True)
class Crowd:
    """What a run found; times are in seconds since its beginning."""

    messages: list[Asked]
    samples: list[Sample] = field(default_factory=list)
    took_s: float = 0.0

    def figures(self) -> dict[str, float]:
        last = self.samples[-1]
        return {
            **summarise(self.messages),
            "refused calls": last.refused,
            "most served at once": max(one.serving for one in self.samples),
            "mean served at once": sum(one.serving for one in self.samples) / len(self.samples),
            "took, s": self.took_s,
        }

    def as_json(self) -> dict[str, object]:
        return {
            "figures": self.figures(),
            "messages": [asdict(one) for one in self.messages],
            "samples": [asdict(one) for one in self.samples],
        }


class Asker:
    """Sends messages over real HTTP and reads their answers to the end."""

    def __init__(self, session: aiohttp.ClientSession, began: float) -> None:
        self._session = session
        self._began = began

    def now(self) -> float:
        return monotonic() - self._began

    async def open_conversation(self, url: str, token: str) -> str:
        async with self._session.post(
            f"{url}/api/v1/conversations", json={}, headers=_headers(token)
        ) as response:
            return str((await response.json())["conversationId"])

    async def ask(self, asked: Asked, url: str, token: str, conversation: str, text: str) -> None:
        """Send one message; whoever is told to come back later does."""
        path = f"{url}/api/v1/conversations/{conversation}/messages"
        asked.sent_at = self.now()
        while True:
            async with self._session.post(
                path, json={"content": text}, headers=_headers(token)
            ) as response:
                if response.status == 503:
                    asked.refused += 1
                    await asyncio.sleep((await response.json())["error"]["retryAfter"])
                    continue
                response.raise_for_status()
                asked.accepted_at = self.now()
                async for frame in read_frames(response.content.iter_any()):
                    self._note(asked, frame.event, frame.data)
                return

    def _note(self, asked: Asked, event: str, data: Mapping[str, float]) -> None:
        now = self.now()
        if event == "queued":
            asked.told.append((now, int(data["position"]), float(data["etaMs"])))
        elif event == "started":
            # Who is sent back to the line starts again.
            asked.started_at = now
        elif event in TERMINAL:
            asked.end, asked.ended_at = event, now


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def script_lengths(provider: ScriptedProvider, *, token_ms: float = TOKEN_MS) -> None:
    """Let answers be of different lengths, by the tag in their message."""
    provider.script_tags(
        {
            f"length{place}": [
                {"first_token_ms": FIRST_TOKEN_MS, "token_ms": token_ms, "tokens": tokens}
            ]
            for place, tokens in enumerate(LENGTHS)
        }
    )


async def gather_crowd(
    production: Production,
    provider: ScriptedProvider,
    groups: Sequence[Group],
    *,
    meanwhile: Callable[[], object] | None = None,
    tag: bool = True,
) -> Crowd:
    """Let everybody ask, and return when everybody is answered.

    `meanwhile` is called on a thread beside it. With a `tag`, answers are of different lengths.
    """
    people = {group.name: production.make_people(group.name, group.people) for group in groups}
    for group in groups:
        if group.plan != "free":
            production.run_python(_SET_PLAN.replace("NAME", group.name).replace("PLAN", group.plan))
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        opened = await _open_conversations(session, production, groups, people)
        asker = Asker(session, monotonic())
        crowd = Crowd([])
        async with _sampling(production, provider, crowd, asker), asyncio.TaskGroup() as asking:
            for group in groups:
                for number, token in enumerate(people[group.name]):
                    at = group.after_s + number * group.every_s
                    for conversation in opened[token]:
                        asked = Asked(f"{group.name}-{number}", group.plan, 0.0)
                        crowd.messages.append(asked)
                        length = f"length{len(crowd.messages) % len(LENGTHS)}"
                        text = tagged("Hello", length) if tag else "Hello"
                        url = production.webs[len(crowd.messages) % len(production.webs)].url
                        asking.create_task(
                            _later(at, asker.ask(asked, url, token, conversation, text))
                        )
            if meanwhile is not None:
                asking.create_task(asyncio.to_thread(meanwhile))
        crowd.took_s = asker.now()
    return crowd


async def _later(delay_s: float, work: object) -> None:
    await asyncio.sleep(delay_s)
    await work  # type: ignore[misc]


async def _open_conversations(
    session: aiohttp.ClientSession,
    production: Production,
    groups: Sequence[Group],
    people: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    asker = Asker(session, monotonic())
    turn = asyncio.Semaphore(8)
    opened: dict[str, list[str]] = {}

    async def open_all(token: str, count: int) -> None:
        url = production.webs[0].url
        async with turn:
            opened[token] = [await asker.open_conversation(url, token) for _ in range(count)]

    async with asyncio.TaskGroup() as opening:
        for group in groups:
            for token in people[group.name]:
                opening.create_task(open_all(token, group.messages))
    return opened


@asynccontextmanager
async def _sampling(
    production: Production, provider: ScriptedProvider, crowd: Crowd, asker: Asker
) -> AsyncIterator[None]:
    sampling = asyncio.ensure_future(_sample(production, provider, crowd, asker))
    try:
        yield
    finally:
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling


async def _sample(
    production: Production, provider: ScriptedProvider, crowd: Crowd, asker: Asker
) -> None:
    with production.valkey.client() as client:
        while True:
            totals = await asyncio.to_thread(provider.totals)
            in_flight, limit = await asyncio.to_thread(read_lane, client)
            crowd.samples.append(
                Sample(asker.now(), totals["serving"], totals["refused"], in_flight, limit)
            )
            await asyncio.sleep(SAMPLE_S)


def read_lane(client: redis.Redis) -> tuple[int, float]:
    """Return how many slots are held by the server's clock, and the limit."""
    seconds, micros = client.time()
    now_ms = seconds * 1000 + micros // 1000
    held = client.zcount(SLOTS, f"({now_ms}", "+inf")
    return int(held), float(client.hget(LANE, "limit") or 0)


_SET_PLAN = """
import django
django.setup()
from chatbot.accounts.models import User
User.objects.filter(email__startswith="NAME-").update(plan="PLAN")
"""


def as_table(figures: Mapping[str, float]) -> str:
    """Return figures as lines of a Markdown table."""
    rows = [f"| {name} | {value:,.3g} |" for name, value in figures.items()]
    return "\n".join(["| what | measured |", "| --- | --- |", *rows]) + "\n"
