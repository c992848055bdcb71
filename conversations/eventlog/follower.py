"""One reader of one log: catches up from the log itself, then takes what the hub brings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

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
        self, hub: Hub, read_page: ReadPage, key: StreamKey, codec: EventCodec, after: Cursor
    ) -> None:
        self._hub = hub
        self._read_page = read_page
        self._key = key
        self._codec = codec
        self._after = after
        self._feed: Feed | None = None
        self._looked_back_at: Cursor | None = None

    async def batches(self, *, idle_s: float, is_new: bool) -> AsyncGenerator[list[Event]]:
        """Yield what comes, an empty batch after `idle_s` of silence; ends with the log.

        Of a log that `is_new` nothing can have been missed.
        """
        if is_new:
            self._join()
        try:
            while True:
                batch = await self._next(idle_s)
                if batch:
                    self._after = batch[-1].cursor
                yield batch
                if batch and batch[-1].is_terminal:
                    return
        finally:
            self._leave()

    async def _next(self, idle_s: float) -> list[Event]:
        while True:
            feed = self._feed
            if feed is None:
                try:
                    if batch := await self._catch_up():
                        return batch
                except LogAway:
                    await asyncio.sleep(idle_s)
                    return []
                continue
            held = feed.window.after(self._after)
            if batch := after_gap(self._after, held):
                return batch
            if held and self._looked_back_at != self._after:
                # The hub no longer holds what comes next. The log may.
                self._looked_back_at = self._after
                self._leave()
            elif not await feed.window.wait(idle_s):
                return []

    async def _catch_up(self) -> list[Event]:
        page = await self._read_page(self._key, self._codec, self._after)
        batch = after_gap(self._after, page)
        if not batch:
            self._join()
        return batch

    def _join(self) -> None:
        self._feed = self._hub.join(self._key, self._codec, self._after)

    def _leave(self) -> None:
        if self._feed is not None:
            self._hub.leave(self._feed)
            self._feed = None
