"""One reader of one log: catches up from the log itself, then takes what the hub brings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from conversations.eventlog.base import LogAway, StreamKey
from conversations.eventlog.codec import EventCodec
from conversations.eventlog.hub import Feed, Hub
from conversations.eventlog.window import after_gap
from conversations.events import Cursor, Event

ReadPage = Callable[[StreamKey, EventCodec, Cursor], Awaitable[list[Event]]]


class Follower:
    """Reads on from a cursor, at its reader's pace.

    What the reader has not taken stays in the log: one that falls behind what the hub holds goes
    back to catching up, and costs nobody else anything.
    """

    def __init__(
        self,
        hub: Hub,
        read_page: ReadPage,
        key: StreamKey,
        after: Cursor,
        *,
        is_new: bool,
    ) -> None:
        self._hub = hub
        self._read_page = read_page
        self._key = key
        # Without it the log is silent, and the database tells the end.
        self._codec = EventCodec.of(key)
        self._after = after
        self._feed: Feed | None = None
        self._looked_back_at: Cursor | None = None
        if is_new and self._codec is not None:
            self._feed = hub.join(key, self._codec, after)

    async def next(self, *, idle_s: float) -> list[Event]:
        """Return what has come, or nothing after `idle_s` seconds of silence."""
        if self._codec is None:
            await asyncio.sleep(idle_s)
            return []
        while True:
            feed = self._feed
            if feed is None:
                try:
                    page = await self._read_page(self._key, self._codec, self._after)
                except LogAway:
                    await asyncio.sleep(idle_s)
                    return []
                if batch := after_gap(self._after, page):
                    return self._take(batch)
                self._feed = self._hub.join(self._key, self._codec, self._after)
                continue
            held = feed.window.after(self._after)
            if batch := after_gap(self._after, held):
                return self._take(batch)
            if held and self._looked_back_at != self._after:
                # The hub no longer holds what comes next. The log may.
                self._looked_back_at = self._after
                self.close()
            elif not await feed.window.wait(idle_s):
                return []

    def close(self) -> None:
        """Stop reading."""
        if self._feed is not None:
            self._hub.leave(self._feed)
            self._feed = None

    def _take(self, batch: list[Event]) -> list[Event]:
        self._after = batch[-1].cursor
        return batch
