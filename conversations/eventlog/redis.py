"""The event log in Redis: one stream per generation, its text sealed.

An entry's id is the event's cursor, `attempt-seq`. Redis only takes ids that grow, which fences a
writer of an earlier attempt; see `conversations.eventlog.keys` for the rest.
"""

from __future__ import annotations

from django.conf import settings

from chatbot.core.redis import RedisAway, RedisPipeline
from conversations.eventlog.base import Fenced, LogAway, LogLost, StreamKey
from conversations.eventlog.codec import EventCodec, open_entries
from conversations.eventlog.follower import Follower
from conversations.eventlog.hub import Hub
from conversations.eventlog.keys import ACTIVE_S, APPEND, APPEND_SHA, FENCED, LOST, Lane
from conversations.eventlog.ticker import TickedWriter, Ticker
from conversations.events import START, Cursor, Event

# What a reader takes at a time while it catches up, and holds in memory.
PAGE_EVENTS = 512


class RedisEventLog:
    """All logs at one server, or those in one lane of a cluster."""

    def __init__(self, *, retention_s: float | None = None, lane: Lane | None = None) -> None:
        if retention_s is None:
            retention_s = settings.EVENT_LOG_RETENTION_S
        self._retention_s = retention_s
        self._lane = lane = lane or Lane()
        self._pipeline = RedisPipeline(greeting=[("SCRIPT", "LOAD", APPEND)], place=lane.place)
        self._ticker = Ticker(lane, retention_s=retention_s)
        self._hub = Hub(lane, self._pipeline)

    def name_of(self, key: StreamKey) -> str:
        """Return the key in Redis that holds a log."""
        return self._lane.log_name(key)

    def writer(self, key: StreamKey, attempt: int) -> TickedWriter:
        return TickedWriter(self._ticker, key, attempt)

    async def append(self, key: StreamKey, event: Event) -> None:
        codec = EventCodec.of(key)
        if codec is None:
            return
        ttl_ms = round(1000 * (self._retention_s if event.is_terminal else ACTIVE_S))
        head = ("EVALSHA", APPEND_SHA, 1, self.name_of(key))
        place = (event.cursor.attempt, event.cursor.seq)
        try:
            reply = await self._pipeline.ask(*head, *place, ttl_ms, codec.seal(event))
        except RedisAway as exc:
            raise LogAway from exc
        if reply == FENCED:
            raise Fenced
        if reply == LOST:
            raise LogLost

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        codec = EventCodec.of(key)
        if codec is None:
            return []
        return await self._page(key, codec, after)

    def follow(self, key: StreamKey, after: Cursor, *, is_new: bool = False) -> Follower:
        return Follower(self._hub, self._page, key, after, is_new=is_new)

    async def delete(self, key: StreamKey) -> None:
        try:
            await self._pipeline.ask("UNLINK", self.name_of(key))
        except RedisAway as exc:
            raise LogAway from exc

    async def aclose(self) -> None:
        await self._hub.aclose()
        await self._ticker.aclose()
        await self._pipeline.aclose()

    async def _page(self, key: StreamKey, codec: EventCodec, after: Cursor) -> list[Event]:
        try:
            entries = await self._pipeline.ask(
                "XRANGE", self.name_of(key), f"({after}", "+", "COUNT", PAGE_EVENTS
            )
        except RedisAway as exc:
            raise LogAway from exc
        return open_entries(codec, entries)
