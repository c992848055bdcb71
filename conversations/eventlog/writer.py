"""A writer that sends each event on as it comes."""

from __future__ import annotations

from typing import Any

from conversations.eventlog.base import EventLog, StreamKey
from conversations.events import Cursor, Event, EventType


class DirectWriter:
    def __init__(self, log: EventLog, key: StreamKey, attempt: int) -> None:
        self._log = log
        self._key = key
        self._attempt = attempt
        self._last_seq = 0

    @property
    def next_seq(self) -> int:
        return self._last_seq + 1

    async def write(self, kind: EventType, data: dict[str, Any]) -> None:
        await self.write_event(Event(Cursor(self._attempt, self.next_seq), kind, data))

    async def write_event(self, event: Event) -> None:
        await self._log.append(self._key, event)
        self._last_seq = event.cursor.seq

    async def drop(self) -> None:
        """Nothing is on its way here."""

    async def flush(self) -> None:
        """Nothing is held back here."""
