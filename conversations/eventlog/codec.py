"""Events as sealed bytes, each bound to its log and its place in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from chatbot.core.crypto import CannotOpen, DataCipher, bind
from conversations.eventlog.base import StreamKey
from conversations.events import Cursor, Event, EventType
from conversations.sealing import report_unreadable


def parse_entry_id(raw: bytes) -> Cursor:
    """Read the id of a stream entry, which is the event's cursor."""
    attempt, _, seq = raw.partition(b"-")
    return Cursor(int(attempt), int(seq))


@dataclass(frozen=True, slots=True)
class EventCodec:
    """Seals and opens the events of one log."""

    cipher: DataCipher
    _place: bytes

    @classmethod
    def of(cls, key: StreamKey) -> EventCodec | None:
        """Return the codec of a log, or None for whoever holds no key to it."""
        if key.cipher is None:
            return None
        place = bind("eventlog", str(key.conversation_id), str(key.generation_id))
        return cls(key.cipher, place)

    def seal(self, event: Event) -> bytes:
        plain = orjson.dumps((event.type, event.data))
        return self.cipher.seal_bytes(plain, b"%b|%b" % (self._place, str(event.cursor).encode()))

    def open(self, entry_id: bytes, sealed: bytes) -> Event:
        """Return the event sealed under this entry id. Raises CannotOpen."""
        plain = self.cipher.open_bytes(sealed, b"%b|%b" % (self._place, entry_id))
        kind, data = orjson.loads(plain)
        return Event(parse_entry_id(entry_id), EventType(kind), data)


def open_entries(codec: EventCodec, entries: Iterable[Any]) -> list[Event]:
    """Return the events of stream entries.

    One that does not open raises the alert and is left out; readers notice the gap.
    """
    events: list[Event] = []
    for entry_id, fields in entries:
        try:
            events.append(codec.open(entry_id, fields[1]))
        except CannotOpen as exc:
            report_unreadable(f"event {entry_id.decode()}", exc)
    return events
