"""Tells those who wait where they stand in line."""

from __future__ import annotations

from uuid import UUID

from chatbot.core.db import db_call
from conversations.claims import list_waiting, typical_duration_ms
from conversations.eventlog import EventLog, Fenced, LogAway, LogLost, StreamKey
from conversations.events import Cursor, Event, EventType
from conversations.workers import count_slots


class QueueBoard:
    """Writes `queued` events, as attempt 0, to the logs of generations that wait."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._posted: dict[UUID, tuple[int, int]] = {}

    async def post(self, *, is_full: bool) -> None:
        """Post each waiting generation's place, where it has changed.

        Costs nothing while there are free slots.
        """
        if not is_full:
            self._posted.clear()
            return
        waiting = await db_call(list_waiting)
        if not waiting:
            self._posted.clear()
            return
        turn_ms = await db_call(typical_duration_ms) // max(1, await db_call(count_slots))
        posted = self._posted
        self._posted = {}
        for position, key in enumerate(waiting, start=1):
            before, seq = posted.get(key.generation_id, (0, 0))
            if before != position:
                seq += 1
                await self._write(key, seq, position, turn_ms * position)
            self._posted[key.generation_id] = (position, seq)

    async def _write(self, key: StreamKey, seq: int, position: int, eta_ms: int) -> None:
        data = {"position": position, "etaMs": eta_ms}
        try:
            await self._log.append(key, Event(Cursor(0, seq), EventType.QUEUED, data))
        except (Fenced, LogLost, LogAway):
            return  # It has started meanwhile, another worker posts its place, or nobody can.
