"""The event log of one process, for embedded mode and tests.

Lives on one event loop. What is lost with the process is found again in the database.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from django.conf import settings

from conversations.eventlog.base import Fenced, LogLost, StreamKey
from conversations.eventlog.window import Window
from conversations.eventlog.writer import DirectWriter
from conversations.events import START, Cursor, Event


class MemoryReader:
    def __init__(self, stream: Window, after: Cursor, *, on_close: Callable[[], None]) -> None:
        self._stream = stream
        self._after = after
        self._on_close: Callable[[], None] | None = on_close

    async def next(self, *, idle_s: float) -> list[Event]:
        while True:
            batch = self._stream.after(self._after)
            if batch:
                self._after = batch[-1].cursor
                return batch
            if not await self._stream.wait(idle_s):
                return []

    def close(self) -> None:
        if self._on_close is not None:
            self._on_close()
            self._on_close = None


class MemoryEventLog:
    def __init__(
        self, *, retention_s: float | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        if retention_s is None:
            retention_s = settings.EVENT_LOG_RETENTION_S
        self._streams: dict[StreamKey, Window] = {}
        self._readers: dict[StreamKey, int] = {}
        # In the order of their ends, since every log is retained for the same time.
        self._ended: deque[tuple[float, StreamKey]] = deque()
        self._retention_s = retention_s
        self._clock = clock

    def writer(self, key: StreamKey, attempt: int) -> DirectWriter:
        return DirectWriter(self, key, attempt)

    async def append(self, key: StreamKey, event: Event) -> None:
        self._expire()
        stream = self._streams.setdefault(key, Window())
        tail = stream.tail
        if event.cursor.attempt < tail.attempt:
            raise Fenced(f"{event.cursor} after {tail}")
        same_attempt = event.cursor.attempt == tail.attempt
        if same_attempt and event.cursor.seq <= tail.seq:
            return
        if event.cursor.seq != (tail.seq + 1 if same_attempt else 1):
            raise LogLost(f"{event.cursor} does not follow {tail}")
        stream.extend([event])
        if event.is_terminal:
            self._ended.append((self._clock() + self._retention_s, key))

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        self._expire()
        stream = self._streams.get(key)
        return stream.after(after) if stream is not None else []

    def follow(self, key: StreamKey, after: Cursor, *, is_new: bool = False) -> MemoryReader:
        self._expire()
        stream = self._streams.setdefault(key, Window())
        self._readers[key] = self._readers.get(key, 0) + 1
        return MemoryReader(stream, after, on_close=lambda: self._leave(key))

    async def delete(self, key: StreamKey) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None and key in self._readers:
            stream.begin_at(START)
            self._streams[key] = stream

    async def aclose(self) -> None:
        self._streams.clear()

    def _leave(self, key: StreamKey) -> None:
        self._readers[key] -= 1
        if not self._readers[key]:
            del self._readers[key]
            stream = self._streams.get(key)
            if stream is not None and stream.is_empty:
                del self._streams[key]

    def _expire(self) -> None:
        now = self._clock()
        while self._ended and self._ended[0][0] <= now:
            _, key = self._ended.popleft()
            # A reader still at it keeps the stream itself, and comes to its end.
            self._streams.pop(key, None)
