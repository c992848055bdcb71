"""How often a process reads what its streams have to say.

A stream of 50 tokens/s brings each token in a packet of its own, and to wake up for one costs more
than all that is done with it. With many streams the kernel gathers what comes for a moment, out of
our sight, and one reading takes it all.
"""

from __future__ import annotations

import asyncio
from collections import deque

# Fewer leave the processor idle: their tokens go on at once.
MIN_STREAMS = 30
# Three tokens at the usual 50 a second; a reader still sees 16 changes a second, which flow.
GATHER_S = 0.060
# A process with very many streams takes longer over a round, up to five tokens at a time.
GATHER_PER_STREAM_S = 0.0005
LONGEST_GATHER_S = 0.100
# Streams that are due within so little time are let go together.
GRAIN_S = 0.005


class Pacer:
    """Holds the connections of many streams for a moment each."""

    def __init__(self, *, min_streams: int = MIN_STREAMS, gather_s: float = GATHER_S) -> None:
        self._min_streams = min_streams
        self._gather_s = gather_s
        self._loop = asyncio.get_running_loop()
        self._streams = 0
        self._held: deque[tuple[float, asyncio.ReadTransport]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self) -> None:
        """Count one more stream."""
        self._streams += 1

    def leave(self) -> None:
        """Count one stream less."""
        self._streams -= 1

    def hold(self, transport: asyncio.ReadTransport) -> None:
        """Read nothing from this connection for a moment, if there are many streams.

        It reads on by itself. It can be closed meanwhile.
        """
        if self._streams < self._min_streams or not transport.is_reading():
            return
        transport.pause_reading()
        share_s = min(LONGEST_GATHER_S, self._streams * GATHER_PER_STREAM_S)
        due = self._loop.time() + max(self._gather_s, share_s)
        self._held.append((due, transport))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._release)

    def _release(self) -> None:
        held = self._held
        soon = self._loop.time() + GRAIN_S
        while held and held[0][0] <= soon:
            held.popleft()[1].resume_reading()
        self._timer = self._loop.call_at(max(held[0][0], soon), self._release) if held else None
