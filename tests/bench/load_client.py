"""People who ask at once, as a process of their own: its work is nobody else's processor time.

`python -m tests.bench.load_client` reads a job as one line of JSON, opens its doors, says "ready",
waits for a line with the time to begin, and prints the answers as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from time import monotonic, process_time

import orjson

from tests.bench.doors import PROVIDER_BODY, Door, PlainDoor, as_timing, open_door
from tests.bench.frames import HandshakeRefused
from tests.bench.verdicts import Verdict, judge
from tests.bench.wire import Received

# Doors opened at once: setting up is not what is measured.
OPENING = 8


@dataclass(frozen=True, slots=True)
class Job:
    """One process's share of a load: a stream for each token, `starts_s` after the beginning."""

    door: str
    url: str
    provider_url: str
    tokens: list[str]
    starts_s: list[float]
    rounds: int
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, judged. Times are on the machine's monotonic clock, in seconds."""

    asked_at: float
    ended_at: float
    # From asking to the first token: of the provider just before, and of this door.
    direct_s: float
    first_s: float
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    answers: list[Answer]
    cpu_s: float


@dataclass(slots=True)
class Lane:
    """One person: asks, reads to the end, asks again."""

    door: Door
    direct: PlainDoor
    exchanges: list[tuple[Received, Received]] = field(default_factory=list)

    async def run(self, *, begin_at: float, rounds: int) -> None:
        await asyncio.sleep(begin_at - monotonic())
        for _ in range(rounds):
            await self.direct.get_ready()
            first = await self.direct.ask()
            try:
                await self.door.get_ready()
            except (OSError, TimeoutError, HandshakeRefused):
                # What was asked of nobody was not answered: a failure like others.
                self.exchanges.append((first, Received(monotonic())))
                continue
            self.exchanges.append((first, await self.door.ask()))

    def answers(self, text: str) -> Iterator[Answer]:
        for first, received in self.exchanges:
            direct = as_timing(first, self.direct.happenings(first))
            timing = as_timing(received, self.door.happenings(received))
            verdict = judge(timing, text)
            tail = b"".join(piece for _, piece in received.pieces)[-300:]
            yield Answer(
                asked_at=received.sent_at,
                ended_at=received.pieces[-1][0] if received.pieces else received.sent_at,
                direct_s=direct.delta_s[0] if direct.delta_s else 0.0,
                first_s=timing.delta_s[0] if timing.delta_s else 0.0,
                verdict=verdict,
                detail="" if verdict is Verdict.COMPLETE else repr(tail),
            )


async def open_lanes(job: Job) -> list[Lane]:
    # One token is all that is wanted of the provider itself.
    body = PROVIDER_BODY.replace(b'"content":"', b'"content":"#script:direct ')
    turn = asyncio.Semaphore(OPENING)

    async def open_lane(token: str) -> Lane:
        async with turn:
            return Lane(
                await open_door(job.door, job.url, token), PlainDoor(job.provider_url, body)
            )

    async with asyncio.TaskGroup() as group:
        opening = [group.create_task(open_lane(token)) for token in job.tokens]
    return [task.result() for task in opening]


async def work(job: Job) -> Outcome:
    lanes = await open_lanes(job)
    say("ready")
    loop = asyncio.get_running_loop()
    begin_at = float(await loop.run_in_executor(None, sys.stdin.readline))
    cpu_s = process_time()
    async with asyncio.TaskGroup() as group:
        for lane, start_s in zip(lanes, job.starts_s, strict=True):
            group.create_task(lane.run(begin_at=begin_at + start_s, rounds=job.rounds))
    cpu_s = process_time() - cpu_s
    for lane in lanes:
        lane.door.close()
        lane.direct.close()
    return Outcome([answer for lane in lanes for answer in lane.answers(job.text)], cpu_s)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    job = Job(**json.loads(sys.stdin.readline()))
    outcome = asyncio.run(work(job))
    say(orjson.dumps(asdict(outcome)).decode())


if __name__ == "__main__":
    main()
