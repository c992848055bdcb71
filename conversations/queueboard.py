"""Tells those who wait where they stand in line and for how long, and everybody how long it is."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, time
from uuid import UUID

from chatbot.core.db import db_call
from conversations.eventlog import EventLog, Fenced, LogAway, LogLost, StreamKey
from conversations.events import START, Cursor, Event, EventType, fold_text
from conversations.line import Waiting, find_keys, read_line
from conversations.places import BEHIND_OWN
from llm.admission.load import KEEP_MS, NAME, LaneLoad, decode, encode, pick_marks, speed_of
from llm.admission.pace import Pace
from llm.admission.slots import Ask, Lane, Slots, SlotsAway, View
from llm.conf import get_registry

ROLE = "board"
ROLE_S = 3.0
# A model that is not here any more: its generations wait for a worker to say so.
NOWHERE = Lane("none")
# A place is told again once it has changed by this share of it, and the time left by this one.
PLACE_SHARE = 0.05
TIME_SHARE = 0.3
LEAST_MS = 2_000
# Nobody is told of a place further back before it is so far: who was refused returns to the front
# for a moment, and the line moves on.
RISE = 3
RISE_SHARE = 0.1
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class _Told:
    """What a log said last: where it ends, and the place and time left that it tells."""

    attempt: int
    end: Cursor
    position: int
    start_at: float
    has_text: bool = False

    def is_true(self, position: int, eta_ms: float, now: float) -> bool:
        rise = position - self.position
        if rise > max(RISE, RISE_SHARE * self.position) or -rise > PLACE_SHARE * self.position:
            return False
        wrong_ms = abs(1000 * (self.start_at - now) - eta_ms)
        return wrong_ms <= max(LEAST_MS, TIME_SHARE * eta_ms)


class QueueBoard:
    """Writes `queued` events to the logs of generations that wait, and publishes the line.

    One worker at a time does it. With the slots' keeper away each one does, and they write to the
    same logs: so what was told is what the log says, and of two that write at once the log keeps
    one; the next round sees which. The events belong to the last attempt, 0 at first, and whoever
    claims the generation fences them.
    """

    def __init__(self, log: EventLog, slots: Slots, owner: str) -> None:
        self._log = log
        self._slots = slots
        self._owner = owner
        self._told: dict[UUID, _Told] = {}
        self._keys: dict[UUID, StreamKey] = {}
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        self._loads: dict[str, LaneLoad] = {}

    async def post(self) -> None:
        """Post each waiting generation's place where it has changed.

        Ends where the log is away: it would cost all further ones a timeout.
        """
        if not await asyncio.to_thread(self._has_role):
            self._forget()
            return
        line, at_once = await db_call(read_line)
        lines: defaultdict[Lane, list[Waiting]] = defaultdict(list)
        for one in line:
            lanes = get_registry().lanes(one.model)
            lines[lanes[0] if lanes else NOWHERE].append(one)
        await asyncio.to_thread(self._publish, lines, at_once)
        await self._find_keys(line)
        told = {one.generation_id: self._told.get(one.generation_id) for one in line}
        self._told = {key: known for key, known in told.items() if known is not None}
        for lane, waiting in lines.items():
            per_second = self._loads[lane.name].per_second
            places = [
                (one, place, 1000 * place / per_second) for place, one in enumerate(waiting, 1)
            ]
            for begin in range(0, len(places), AT_ONCE):
                # What is asked at the same moment goes out together.
                async with asyncio.TaskGroup() as group:
                    telling = [
                        group.create_task(self._tell(*place))
                        for place in places[begin : begin + AT_ONCE]
                    ]
                if not all(task.result() for task in telling):
                    return

    def _forget(self) -> None:
        self._told.clear()
        self._keys.clear()
        self._loads.clear()

    def _has_role(self) -> bool:
        try:
            return self._slots.hold_role(ROLE, self._owner, lease_ms=round(1000 * ROLE_S))
        except SlotsAway:
            return True

    def _publish(self, lines: Mapping[Lane, Sequence[Waiting]], at_once: int) -> None:
        """Find out how each line moves, and let everybody know."""
        try:
            views = self._slots.exchange([Ask(lane) for lane in lines], lease_ms=1)
            before = self._loads or decode(self._slots.read(NAME) or b"{}")
        except SlotsAway:
            views, before = [], self._loads
        known = dict(zip(lines, views, strict=False))
        self._loads = {
            lane.name: self._measure(lane, waiting, known.get(lane), before, at_once)
            for lane, waiting in lines.items()
        }
        try:
            self._slots.publish(NAME, encode(self._loads), keep_ms=KEEP_MS)
        except SlotsAway:
            return

    def _measure(
        self,
        lane: Lane,
        waiting: Sequence[Waiting],
        view: View | None,
        before: Mapping[str, LaneLoad],
        at_once: int,
    ) -> LaneLoad:
        last, now = before.get(lane.name), time()
        if view is not None:
            self._paces[lane.name].note(view, monotonic())
            per_second = self._paces[lane.name].per_second(view, most_at_once=at_once)
        else:
            per_second = last.per_second if last else 1.0
        dues = [one.due.timestamp() for one in waiting]
        people = len({one.user_id for one in waiting})
        step_s = BEHIND_OWN.total_seconds()
        return LaneLoad(
            waiting=dict(Counter(one.plan for one in waiting)),
            per_second=per_second,
            marks=pick_marks(dues),
            virtual=last.virtual_time(now) if last else now,
            at=now,
            speed=speed_of(per_second=per_second, people=people, step_s=step_s),
        )

    async def _find_keys(self, line: Sequence[Waiting]) -> None:
        ids = {one.generation_id for one in line}
        self._keys = {key: value for key, value in self._keys.items() if key in ids}
        new = [one for one in line if one.generation_id not in self._keys]
        if new:
            self._keys |= await db_call(find_keys, new)

    async def _tell(self, one: Waiting, position: int, eta_ms: float) -> bool:
        """Return whether the log is there to be written to."""
        key = self._keys.get(one.generation_id)
        if key is None:
            return True
        now = monotonic()
        told = self._told.get(one.generation_id)
        if told is not None and told.attempt == one.attempt:
            if told.has_text or told.is_true(position, eta_ms, now):
                return True
        else:
            told = None
        try:
            self._told[one.generation_id] = await self._append(one, key, told, position, eta_ms)
        except (Fenced, LogLost):
            # It has started, or its log is read anew in the next round.
            self._told.pop(one.generation_id, None)
        except LogAway:
            self._told.pop(one.generation_id, None)
            return False
        return True

    async def _append(
        self, one: Waiting, key: StreamKey, told: _Told | None, position: int, eta_ms: float
    ) -> _Told:
        now = monotonic()
        end, text = (told.end, "") if told else (START, "")
        said: int | None = None
        while page := await self._log.read(key, end):
            end, text = page[-1].cursor, fold_text(page, text)
            if page[-1].type is EventType.QUEUED:
                said = page[-1].data["position"]
        found = _Told(one.attempt, end, position, now + eta_ms / 1000, bool(text))
        # Where there is text to read nobody needs to know of a line, and another board may have
        # been quicker. Who was told this place before is told how long it takes by now.
        is_new = told is None or told.position != position
        if text or end.attempt > one.attempt or (is_new and said == position):
            return found
        data = {"position": position, "etaMs": round(eta_ms)}
        place = Cursor(end.attempt, end.seq + 1)
        await self._log.append(key, Event(place, EventType.QUEUED, data))
        # Not noted as read: another board may have taken this place in the log.
        return found
