"""Event logs as tests write and read them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID, uuid4

from chatbot.core.crypto import DataCipher
from conversations.eventlog import EventLog, StreamKey
from conversations.events import START, Cursor, Event, EventType
from conversations.models import Generation
from conversations.sealing import open_cipher


def new_key() -> StreamKey:
    """Return the name of a log that is nobody else's, with a key to it."""
    return StreamKey(uuid4(), uuid4(), DataCipher(secrets.token_bytes(32)))


def key_of(generation: Generation) -> StreamKey:
    """Return the name of a generation's log, with its conversation's key."""
    cipher = open_cipher(generation.conversation)
    return StreamKey(generation.conversation_id, generation.pk, cipher)


def find_key(generation_id: str | UUID) -> StreamKey:
    return key_of(Generation.objects.select_related("conversation").get(pk=generation_id))


def event(attempt: int, seq: int, kind: EventType = EventType.DELTA) -> Event:
    return Event(Cursor(attempt, seq), kind, {"text": f"{attempt}.{seq} "})


async def follow(
    log: EventLog, key: StreamKey, after: Cursor = START, *, idle_s: float, is_new: bool = False
) -> AsyncGenerator[list[Event]]:
    """Yield what a reader is given, to the end."""
    reader = log.follow(key, after, is_new=is_new)
    try:
        while True:
            batch = await reader.next(idle_s=idle_s)
            yield batch
            if batch and batch[-1].is_terminal:
                return
    finally:
        reader.close()


async def read_events(
    log: EventLog, key: StreamKey, after: Cursor = START, *, idle_s: float = 5
) -> list[Event]:
    """Return everything from a cursor to the end."""
    async with aclosing(follow(log, key, after, idle_s=idle_s)) as batches:
        return [one async for batch in batches for one in batch]


async def read_all(log: EventLog, key: StreamKey, after: Cursor = START) -> list[str]:
    """Return the ids of everything from a cursor to the end."""
    return [str(one.cursor) for one in await read_events(log, key, after)]
