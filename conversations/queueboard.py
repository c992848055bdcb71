"""Tells those who wait where they stand in line."""

from __future__ import annotations

from uuid import UUID

from chatbot.core.db import db_call
from conversations.claims import list_waiting, typical_duration_ms
from conversations.eventlog import EventLog, Fenced, LogAway, LogLost, StreamKey
from conversations.events import START, Cursor, Event, EventType
from conversations.workers import count_slots


class QueueBoard:
    """Writes `queued` events, as attempt 0, to the logs of generations that wait.

    Every full worker has a board, and they write to the same logs. So what was told is what the
    log says, and of two that write at once the log keeps one; the next round sees which.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        # As far as each log was read: where it ends, and the place that it told last.
        self._told: dict[UUID, tuple[Cursor, int]] = {}

    async def post(self, *, is_full: bool) -> None:
        """Post each waiting generation's place, where it has changed.

        Costs nothing while there are free slots. Ends where the log is away: it would cost each
        further one a timeout.
        """
        if not is_full:
            self._told.clear()
            return
        waiting = await db_call(list_waiting)
        if not waiting:
            self._told.clear()
            return
        turn_ms = await db_call(typical_duration_ms) // max(1, await db_call(count_slots))
        told = self._told
        self._told = {}
        for position, key in enumerate(waiting, start=1):
            before = told.get(key.generation_id, (START, 0))
            try:
                self._told[key.generation_id] = await self._tell(key, before, position, turn_ms)
            except (Fenced, LogLost):
                continue  # It has started, or its log is read anew in the next round.
            except LogAway:
                return

    async def _tell(
        self, key: StreamKey, told: tuple[Cursor, int], position: int, turn_ms: int
    ) -> tuple[Cursor, int]:
        if told[1] == position:
            return told
        end, last = told
        while page := await self._log.read(key, end):
            end, last = page[-1].cursor, page[-1].data.get("position", last)
        if end.attempt or last == position:
            return end, last
        data = {"position": position, "etaMs": turn_ms * position}
        place = Cursor(0, end.seq + 1)
        await self._log.append(key, Event(place, EventType.QUEUED, data))
        # Not noted as read: another board may have taken this place in the log.
        return end, last
