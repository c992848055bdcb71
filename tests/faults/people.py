"""People who live through a round: they send, read, leave, come back, and stop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.fakes.choosing import tagged
from tests.faults.doors import Away, Client, Leave, Refused, Stream
from tests.faults.plan import AnswerPlan, Leg, ReaderPlan, Schedule
from tests.faults.record import Answer, Life

T = TypeVar("T")

FIRST_PAUSE_S = 0.05
PAUSE_CAP_S = 0.5
# A reply that no client can act on is tried again this often, then the person gives up.
ODD_TRIES = 5
PLAIN = ReaderPlan(after_s=0, legs=(), door="sse", web=0, returns_at_end=False)


class GivenUp(Exception):
    """The product goes on saying what it should not; it is on record."""


@dataclass(slots=True)
class Person:
    """One conversation of one person, and what is kept of it."""

    client: Client
    user: str
    conversation_id: str
    name: str
    answers: list[Answer] = field(default_factory=list)

    async def follow(self, schedule: Schedule) -> None:
        await asyncio.sleep(schedule.start_s)
        for number, plan in enumerate(schedule.answers):
            await AnswerVisit(self, plan, f"{self.name}-{number}").run()


class AnswerVisit:
    """Everything that people do about one answer."""

    def __init__(self, person: Person, plan: AnswerPlan, tag: str) -> None:
        self._person = person
        self._client = person.client
        self._plan = plan
        self._accepted = asyncio.Event()
        self.answer = self._new_answer(tag)

    def _new_answer(self, tag: str) -> Answer:
        person = self._person
        answer = Answer(tag, "".join(self._plan.chunks()), person.user, person.conversation_id)
        answer.scripted_faults = len(self._plan.provider_faults)
        person.answers.append(answer)
        return answer

    async def run(self) -> None:
        plan = self._plan
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forgive(self._send_and_read()))
            for number, reader in enumerate(plan.others):
                group.create_task(self._forgive(self._read_elsewhere(reader, number)))
            if plan.duplicate_after_s is not None:
                group.create_task(self._forgive(self._send_again(plan.duplicate_after_s)))
            if plan.rival_after_s is not None:
                group.create_task(self._forgive(self._send_beside(plan.rival_after_s)))
            if plan.stop_after_s is not None:
                group.create_task(self._forgive(self._stop(plan.stop_after_s)))

    async def _forgive(self, work: Awaitable[None]) -> None:
        try:
            await work
        except GivenUp:
            return

    async def _send_and_read(self) -> None:
        plan = self._plan
        stream = await self._send(self.answer, plan.sends_by, plan.web)
        await self._read(self.answer, "sender", plan.sender, stream, door=plan.sends_by)

    async def _read_elsewhere(self, reader: ReaderPlan, number: int) -> None:
        await self._accepted.wait()
        await asyncio.sleep(reader.after_s)
        await self._read(self.answer, f"device {number}", reader)

    async def _send_again(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        door = "json" if self._plan.pieces % 2 else "sse"
        stream = await self._send(self.answer, door, self._plan.web + 1)
        if stream is not None:
            await self._read(self.answer, "repeat", PLAIN, stream)

    async def _send_beside(self, after_s: float) -> None:
        """Send another message while the first is being answered."""
        await self._accepted.wait()
        await asyncio.sleep(after_s)
        rival = Answer(
            rival_tag(self.answer.tag),
            self.answer.script,
            self.answer.user,
            self.answer.conversation_id,
        )
        try:
            stream = await self._send(rival, "sse", self._plan.web)
        except Refused as exc:
            if exc.detail.get("generationId") not in self.answer.accepted:
                self.answer.odd.append(f"a second send: {exc}, {exc.detail}")
            return
        finally:
            self.answer.odd += rival.odd
        self._person.answers.append(rival)
        await self._read(rival, "rival", PLAIN, stream)

    async def _stop(self, after_s: float) -> None:
        await self._accepted.wait()
        await asyncio.sleep(after_s)
        self.answer.is_stop_asked = True
        generation_id = self.answer.accepted[0]
        web = self._plan.web + 1
        await self._insist(
            self.answer, "stop", lambda tries: self._client.stop(web + tries, generation_id)
        )

    async def _send(self, answer: Answer, door: str, web: int) -> Stream | None:
        """Send until it is accepted, under one key. Raises Refused for a rival's conflict."""
        content = tagged("Tell me, please.", answer.tag)
        conversation_id, model = answer.conversation_id, self._plan.model

        def send(tries: int) -> Awaitable[tuple[str, Stream | None]]:
            return self._client.send(door, web + tries, conversation_id, content, model, answer.tag)

        generation_id, stream = await self._insist(
            answer, f"send by {door}", send, may_conflict=answer is not self.answer
        )
        answer.accepted.append(generation_id)
        if answer is self.answer:
            self._accepted.set()
        return stream

    async def _insist(
        self,
        answer: Answer,
        what: str,
        call: Callable[[int], Awaitable[T]],
        *,
        may_conflict: bool = False,
    ) -> T:
        """Try until it works, at one web process after the other."""
        pause_s, tries, odd = FIRST_PAUSE_S, 0, 0
        while True:
            try:
                return await call(tries)
            except Away:
                answer.retries += 1
            except Refused as exc:
                answer.retries += 1
                if may_conflict and exc.code == "generation_active":
                    raise
                if not exc.is_passing:
                    answer.odd.append(f"{what}, try {tries}: {exc} {exc.detail or ''}")
                    odd += 1
                    if odd == ODD_TRIES:
                        raise GivenUp from exc
            tries += 1
            await asyncio.sleep(pause_s)
            pause_s = min(PAUSE_CAP_S, 2 * pause_s)

    async def _read(
        self,
        answer: Answer,
        name: str,
        plan: ReaderPlan,
        stream: Stream | None = None,
        *,
        door: str = "sse",
    ) -> None:
        """Read to the end, with the plan's departures and returns on the way."""
        legs: deque[Leg | None] = deque(plan.legs)
        life = new_life(answer, name)
        web = plan.web
        while True:
            leg = legs.popleft() if legs else None
            if stream is None:
                door, web = (leg.door, leg.web) if leg else (plan.door, web)
                stream = await self._resume(answer, life, door, web)
            if stream is None:
                answer.odd.append(f"{name}: told that there is nothing more after {life.cursor}")
                return
            end = await read_stream(stream, life, door, leg)
            stream = None
            if life.is_over:
                break
            if end == "left" and leg is not None:
                await asyncio.sleep(leg.pause_s)
                if leg.reloads:
                    life.is_left = True
                    life = new_life(answer, f"{name}, reloaded")
            else:
                self._judge(answer, name, end)
                web += 1
                await asyncio.sleep(FIRST_PAUSE_S)
        if life.connections[-1].end == "left open":
            answer.odd.append(f"{name}: the stream was not closed after its end")
        if plan.returns_at_end:
            await self._return(answer, life, web)

    async def _resume(self, answer: Answer, life: Life, door: str, web: int) -> Stream | None:
        generation_id = answer.accepted[0]
        after = f"{life.cursor[0]}-{life.cursor[1]}"
        return await self._insist(
            answer,
            f"resume by {door}",
            lambda tries: self._client.resume(door, web + tries, generation_id, after),
        )

    async def _return(self, answer: Answer, life: Life, web: int) -> None:
        """Ask for more where there is nothing more to come."""
        stream = await self._resume(answer, life, "sse", web)
        if stream is not None:
            await read_stream(stream, life, "sse", None)
            if not life.connections[-1].events:
                answer.odd.append(f"{life.name}: kept waiting after the end")

    def _judge(self, answer: Answer, name: str, end: str) -> None:
        kind, _, code = end.partition(": ")
        if kind == "refused" and code not in {"unavailable", "rate_limited"}:
            answer.odd.append(f"{name}: {end}")


def rival_tag(tag: str) -> str:
    return f"{tag}-rival"


def new_life(answer: Answer, name: str) -> Life:
    answer.lives.append(Life(name))
    return answer.lives[-1]


async def read_stream(stream: Stream, life: Life, door: str, leg: Leg | None) -> str:
    connection = life.connect(door)
    leave = Leave(leg.leave_after_events, leg.leave_after_s) if leg else None
    try:
        await stream.read(life, connection, leave)
    finally:
        await stream.aclose()
    return connection.end
