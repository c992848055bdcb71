"""Slots of one process alone: in embedded mode, and of a worker that Redis has left alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic

from llm.admission.limiter import START, LaneState
from llm.admission.slots import Ask, View


def monotonic_ms() -> int:
    return int(monotonic() * 1000)


class MemorySlots:
    """See `Slots`. It is never away. A lane begins with a limit of `start`."""

    def __init__(self, *, start: float = START, clock: Callable[[], int] = monotonic_ms) -> None:
        self._clock = clock
        self._lock = Lock()
        self._lanes: defaultdict[str, LaneState] = defaultdict(lambda: LaneState(limit=start))
        self._roles: dict[str, tuple[str, int]] = {}
        self._values: dict[str, tuple[bytes, int]] = {}

    def seed(self, lane: str, state: LaneState) -> None:
        """Let a lane begin with this."""
        with self._lock:
            self._lanes[lane] = state

    def exchange(self, asks: Sequence[Ask], *, lease_ms: int) -> list[View]:
        with self._lock:
            now_ms = self._clock()
            return [
                self._lanes[ask.lane.name].exchange(ask, lease_ms=lease_ms, now_ms=now_ms)
                for ask in asks
            ]

    def hold_role(self, role: str, owner: str, *, lease_ms: int) -> bool:
        with self._lock:
            now_ms = self._clock()
            holder, until_ms = self._roles.get(role, (owner, 0))
            if holder != owner and now_ms < until_ms:
                return False
            self._roles[role] = (owner, now_ms + lease_ms)
            return True

    def publish(self, name: str, value: bytes, *, keep_ms: int) -> None:
        with self._lock:
            self._values[name] = (value, self._clock() + keep_ms)

    def read(self, name: str) -> bytes | None:
        with self._lock:
            value, until_ms = self._values.get(name, (None, 0))
            return value if self._clock() < until_ms else None
