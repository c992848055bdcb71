"""How busy a lane is: what the workers publish of their lines, and what follows from it.

Whoever accepts messages reads the figures once a second at most, and counts what it has accepted
itself since. Without figures nobody waits, as far as is known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from threading import Lock
from time import monotonic

import orjson

from llm.admission.slots import Slots, SlotsAway

NAME = "load"
READ_EVERY_S = 1.0
# Beyond a few rounds of publishing, nobody does any more.
KEEP_MS = 5_000
# A line is told by so many places: enough to find a newcomer's.
MARKS = 24
# The line's own time never goes slower than this, so that nobody's turn moves away for ever.
SLOWEST = 0.02


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """One lane's line. Times are in seconds since the epoch, `per_second` is its pace.

    `marks` are places in line with when their messages were due, in order. `virtual` is the line's
    own time at the moment `at`; it passes at `speed`, see `virtual_time`.
    """

    waiting: Mapping[str, int]
    per_second: float
    marks: Sequence[tuple[float, int]]
    virtual: float
    at: float
    speed: float

    def virtual_time(self, now: float) -> float:
        """Return the line's own time, never later than now.

        It passes as fast as everybody's share is served (weighted fair queueing: Parekh and
        Gallager, 1993): while a round, one message of each person who waits, takes longer than
        the distance at which one person's messages follow each other, time stretches.
        """
        return min(now, self.virtual + max(0.0, now - self.at) * self.speed)

    @property
    def longest_wait_s(self) -> float:
        """Return how long the last one in line waits, about."""
        return self.marks[-1][1] / self.per_second if self.marks else 0.0

    def wait_s(self, due: float) -> float:
        """Return how long a message that is due then would wait, about."""
        place = bisect_right(self.marks, due, key=lambda mark: mark[0])
        ahead = self.marks[place - 1][1] if place else 0
        return ahead / self.per_second


def speed_of(*, per_second: float, people: int, step_s: float) -> float:
    """Return how fast a line's own time passes; `step_s` parts one person's messages in it."""
    return max(SLOWEST, min(1.0, step_s * per_second / max(1, people)))


def pick_marks(dues: Sequence[float]) -> list[tuple[float, int]]:
    """Return places in line, from 1, with when they are due, evenly spread and with both ends."""
    count = len(dues)
    places = sorted({1 + round(i * (count - 1) / (MARKS - 1)) for i in range(MARKS)})
    return [(dues[place - 1], place) for place in places if place <= count]


def encode(lanes: Mapping[str, LaneLoad]) -> bytes:
    return orjson.dumps({name: asdict(load) for name, load in lanes.items()})


def decode(raw: bytes) -> dict[str, LaneLoad]:
    return {name: LaneLoad(**values) for name, values in orjson.loads(raw).items()}


@dataclass(eq=False)
class LoadReader:
    """The figures as one process knows them; safe from any thread."""

    slots: Slots
    clock: Callable[[], float] = monotonic
    _lock: Lock = field(default_factory=Lock)
    _lanes: dict[str, LaneLoad] = field(default_factory=dict)
    _raw: bytes | None = None
    _read_at: float = -READ_EVERY_S
    _since: Counter[tuple[str, str]] = field(default_factory=Counter)

    def look(self, lane: str) -> LaneLoad | None:
        """Return a lane's figures, None while nobody waits; now and then asks the keeper."""
        with self._lock:
            now = self.clock()
            is_old = now - self._read_at >= READ_EVERY_S
            if is_old:
                # Others go on with what is known while one reads.
                self._read_at = now
        if is_old:
            self._read()
        return self._lanes.get(lane)

    def count(self, lane: str, plan: str) -> None:
        """Note a message that this process accepted for a lane."""
        with self._lock:
            self._since[lane, plan] += 1

    def waiting(self, lane: str, plan: str) -> int:
        """Return how many wait, with those accepted here since that was found out."""
        load = self._lanes.get(lane)
        return load.waiting.get(plan, 0) + self._since[lane, plan] if load else 0

    def _read(self) -> None:
        try:
            raw = self.slots.read(NAME)
        except SlotsAway:
            raw = None
        with self._lock:
            if raw != self._raw or raw is None:
                self._lanes = decode(raw) if raw else {}
                self._since.clear()
            self._raw = raw
