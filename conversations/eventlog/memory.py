"""The event log of one process, for embedded mode and tests.

Lives on one event loop. What is lost with the process is found again in the database.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from time import monotonic

from conversations.eventlog.base import RETENTION_S, Fenced, LogLost, StreamKey
from conversations.events import START, Cursor, Event


@dataclass(slots=True)
class _Stream:
    events: list[Event] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    readers: int = 0

    @property
    def tail(self) -> Cursor:
        return self.events[-1].cursor if self.events else START

    @property
    def is_ended(self) -> bool:
        return bool(self.events) and self.events[-1].is_terminal

    def position_after(self, cursor: Cursor) -> int:
        low, high = 0, len(self.events)
        while low < high:
            middle = (low + high) // 2
            if self.events[middle].cursor <= cursor:
                low = middle + 1
            else:
                high = middle
        return low

    def wake(self) -> None:
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()


class MemoryEventLog:
    def __init__(
        self, *, retention_s: float = RETENTION_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._streams: dict[StreamKey, _Stream] = {}
        # In the order of their ends, since every log is retained for the same time.
        self._ended: deque[tuple[float, StreamKey]] = deque()
        self._retention_s = retention_s
        self._clock = clock

    async def append(self, key: StreamKey, event: Event) -> None:
        self._expire()
        stream = self._streams.setdefault(key, _Stream())
        tail = stream.tail
        if event.cursor.attempt < tail.attempt:
            raise Fenced(f"{event.cursor} after {tail}")
        same_attempt = event.cursor.attempt == tail.attempt
        if same_attempt and event.cursor.seq <= tail.seq:
            return
        if event.cursor.seq != (tail.seq + 1 if same_attempt else 1):
            raise LogLost(f"{event.cursor} does not follow {tail}")
        stream.events.append(event)
        if event.is_terminal:
            self._ended.append((self._clock() + self._retention_s, key))
        stream.wake()

    async def follow(
        self, key: StreamKey, after: Cursor, *, idle_s: float
    ) -> AsyncGenerator[list[Event]]:
        self._expire()
        stream = self._streams.setdefault(key, _Stream())
        stream.readers += 1
        try:
            while True:
                grown = stream.grown
                batch = stream.events[stream.position_after(after) :]
                if batch:
                    after = batch[-1].cursor
                    yield batch
                # More may have come while the reader was busy with the batch.
                if stream.is_ended and after >= stream.tail:
                    return
                if not batch:
                    try:
                        async with asyncio.timeout(idle_s):
                            await grown.wait()
                    except TimeoutError:
                        yield []
        finally:
            stream.readers -= 1
            if not stream.readers and not stream.events:
                self._streams.pop(key, None)

    async def exists(self, key: StreamKey) -> bool:
        self._expire()
        stream = self._streams.get(key)
        return stream is not None and bool(stream.events)

    def _expire(self) -> None:
        now = self._clock()
        while self._ended and self._ended[0][0] <= now:
            _, key = self._ended.popleft()
            # A reader still at it keeps the stream itself, and comes to its end.
            self._streams.pop(key, None)
