"""Waits for something new, each bounded: for every token of every reader there is one.

A timer for each would cost more than the wait: nearly all are cancelled at once, and stay in the
event loop's heap until they are due.
"""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary


class Patience:
    """Ends waits that are equally long, with one timer for all of them."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        # In the order in which they are due, those that have ended among them.
        self._waits: deque[tuple[float, asyncio.Future[bool]]] = deque()

    def watch(self, waiter: asyncio.Future[bool]) -> None:
        """Answer False when nobody else has answered in time."""
        due = self._loop.time() + self._timeout_s
        if not self._waits:
            self._loop.call_at(due, self._look)
        self._waits.append((due, waiter))

    def _look(self) -> None:
        waits, now = self._waits, self._loop.time()
        while waits and (waits[0][1].done() or waits[0][0] <= now):
            _, waiter = waits.popleft()
            if not waiter.done():
                waiter.set_result(False)
        if waits:
            self._loop.call_at(waits[0][0], self._look)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float, Patience]] = WeakKeyDictionary()


def patience_of(timeout_s: float) -> Patience:
    """Return the running loop's patience of this length, in seconds."""
    kinds = _of_loop.setdefault(asyncio.get_running_loop(), {})
    patience = kinds.get(timeout_s)
    if patience is None:
        patience = kinds[timeout_s] = Patience(timeout_s)
    return patience
