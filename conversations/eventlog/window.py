"""The events of one stream that a process holds, and the waking of those who read them."""

from __future__ import annotations

import asyncio

from conversations.eventlog.patience import patience_of
from conversations.events import START, Cursor, Event, EventType


def _follows(after: Cursor, event: Event) -> bool:
    if event.type is EventType.SNAPSHOT:
        return True
    at = event.cursor
    return at.seq == (after.seq + 1 if at.attempt == after.attempt else 1)


def after_gap(after: Cursor, events: list[Event]) -> list[Event]:
    """Return the run of events that may follow a cursor, each following the one before.

    It begins with the cursor's successor, or with one that begins anew: nothing is appended
    across a gap.
    """
    if events and _follows(after, events[0]) and _is_contiguous(events):
        return events
    run: list[Event] = []
    for event in events:
        if _follows(run[-1].cursor if run else after, event):
            run.append(event)
        elif run:
            break
    return run


def _is_contiguous(events: list[Event]) -> bool:
    first, last = events[0].cursor, events[-1].cursor
    # Ids only grow, so that as many as there is room for are all there are.
    return first.attempt == last.attempt and last.seq - first.seq == len(events) - 1


class Window:
    """A run of events without gaps, from just after `base` to `tail`."""

    def __init__(self, base: Cursor = START, *, capacity: int | None = None) -> None:
        self.base = base
        self._events: list[Event] = []
        self._capacity = capacity
        self._waiters: list[asyncio.Future[bool]] = []

    @property
    def tail(self) -> Cursor:
        return self._events[-1].cursor if self._events else self.base

    @property
    def is_empty(self) -> bool:
        return not self._events

    def begin_at(self, base: Cursor) -> None:
        """Forget all events and begin just after another place."""
        self.base = base
        self._events.clear()

    def extend(self, events: list[Event]) -> None:
        """Add what comes after the tail and wake the readers; the oldest beyond capacity go."""
        self._events += events
        excess = len(self._events) - self._capacity if self._capacity else 0
        if excess > 0:
            self.base = self._events[excess - 1].cursor
            del self._events[:excess]
        self.wake()

    def wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(True)

    def after(self, cursor: Cursor) -> list[Event]:
        """Return the events behind a cursor."""
        events = self._events
        # From the end: most readers lack the newest few only.
        start = len(events)
        while start and events[start - 1].cursor > cursor:
            start -= 1
        return events[start:]

    async def wait(self, timeout_s: float) -> bool:
        """Wait for something new; False when nothing came. Call right after `after`."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        patience_of(timeout_s).watch(waiter)
        try:
            return await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
