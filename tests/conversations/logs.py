"""Event logs as tests write and read them."""

from __future__ import annotations

import secrets
from contextlib import aclosing
from uuid import uuid4

from chatbot.core.crypto import DataCipher
from conversations.eventlog import EventLog, StreamKey
from conversations.events import START, Cursor, Event, EventType


def new_key() -> StreamKey:
    """Return the name of a log that is nobody else's, with a key to it."""
    return StreamKey(uuid4(), uuid4(), DataCipher(secrets.token_bytes(32)))


def event(attempt: int, seq: int, kind: EventType = EventType.DELTA) -> Event:
    return Event(Cursor(attempt, seq), kind, {"text": f"{attempt}.{seq} "})


async def read_events(log: EventLog, key: StreamKey, after: Cursor = START) -> list[Event]:
    """Return everything from a cursor to the end."""
    async with aclosing(log.follow(key, after, idle_s=5)) as batches:
        return [one async for batch in batches for one in batch]


async def read_all(log: EventLog, key: StreamKey, after: Cursor = START) -> list[str]:
    """Return the ids of everything from a cursor to the end."""
    return [str(one.cursor) for one in await read_events(log, key, after)]
