"""Counts with a limit and an end, which all processes share through Redis.

Several are changed in one round trip, all of them or none: who is refused by one is counted in
none. With Redis away each process counts for itself, from nothing, and Redis goes on from where it
was. Without REDIS_URL there is one process, whose memory is all there is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings

from chatbot.core.quickredis import QuickRedis, Script, quick_redis
from chatbot.core.redis import RedisAway
from chatbot.core.stores import REDIS

T = TypeVar("T")

# All are looked at before one is changed. REDIS_URL is one server, so the keys need no common slot.
TAKE = Script("""
local counts, is_full = {}, 0
for i, key in ipairs(KEYS) do
  counts[i] = tonumber(redis.call('GET', key) or 0)
  if counts[i] >= tonumber(ARGV[2 * i - 1]) then is_full = 1 end
end
if is_full == 0 then
  for i, key in ipairs(KEYS) do
    counts[i] = redis.call('INCR', key)
    if counts[i] == 1 then redis.call('EXPIRE', key, ARGV[2 * i]) end
  end
end
counts[#counts + 1] = is_full
return counts
""")
# Never below nothing, and nothing is made anew: its time may have ended meanwhile.
GIVE_BACK = Script("""
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) > 0 then redis.call('DECR', key) end
end
return 1
""")

# Counts in memory before the ended ones among them are first looked for.
SWEEP_AT = 1_000


@dataclass(frozen=True, slots=True)
class Counter:
    """A count under `key`, of `limit` at most, which is forgotten `keep_s` seconds after its first."""

    key: str
    limit: int
    keep_s: int


@dataclass(frozen=True, slots=True)
class Taken:
    """How the counters stand. If one `is_full`, none was changed.

    `is_alone`: Redis is away, so that other processes know nothing of these.
    """

    counts: tuple[int, ...]
    is_full: bool
    is_alone: bool = False


def take(counters: Sequence[Counter]) -> Taken:
    """Add one to each of the counters, or to none when one of them has reached its limit."""
    limits = [value for counter in counters for value in (counter.limit, counter.keep_s)]
    answer = _ask(lambda server: server.run(TAKE, _keys(counters), *limits))
    if answer is None:
        counts, is_full = _memory.take(counters)
        return Taken(counts, is_full, is_alone=bool(settings.REDIS_URL))
    *shared, is_full = answer
    return Taken(tuple(shared), bool(is_full))


def give_back(counters: Sequence[Counter]) -> None:
    """Take one from each of the counters, as if it had never been added."""
    if _ask(lambda server: server.run(GIVE_BACK, _keys(counters))) is None:
        _memory.give_back(counters)


def look(counters: Sequence[Counter]) -> tuple[int, ...]:
    """Return the counts, and change none."""
    values = _ask(lambda server: server.call("MGET", *_keys(counters)))
    if values is None:
        return _memory.look(counters)
    return tuple(int(value or 0) for value in values)


def _keys(counters: Sequence[Counter]) -> list[str]:
    return [counter.key for counter in counters]


def _ask(question: Callable[[QuickRedis], Any]) -> Any:
    """Return what Redis answers, or None while there is none to ask."""
    if not settings.REDIS_URL or not REDIS.may_try():
        return None
    try:
        answer = question(quick_redis(settings.REDIS_URL))
    except RedisAway as exc:
        REDIS.note_failure(exc)
        return None
    REDIS.note_answer()
    return answer


class _Memory:
    """Counts of this process, each with the time when it ends; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        self._sweep_at = SWEEP_AT

    def take(self, counters: Sequence[Counter]) -> tuple[tuple[int, ...], bool]:
        with self._lock:
            now = time.monotonic()
            self._sweep(now)
            before = [self._count(counter, now) for counter in counters]
            is_full = any(
                count >= counter.limit for (count, _), counter in zip(before, counters, strict=True)
            )
            if not is_full:
                before = [(count + 1, end) for count, end in before]
                self._counts.update(zip(_keys(counters), before, strict=True))
            return tuple(count for count, _ in before), is_full

    def give_back(self, counters: Sequence[Counter]) -> None:
        with self._lock:
            for key in _keys(counters):
                count, end = self._counts.get(key, (0, 0.0))
                if count:
                    self._counts[key] = (count - 1, end)

    def look(self, counters: Sequence[Counter]) -> tuple[int, ...]:
        with self._lock:
            now = time.monotonic()
            return tuple(self._count(counter, now)[0] for counter in counters)

    def _count(self, counter: Counter, now: float) -> tuple[int, float]:
        found = self._counts.get(counter.key)
        return found if found and found[1] > now else (0, now + counter.keep_s)

    def _sweep(self, now: float) -> None:
        """Drop what has ended, whenever the counts have doubled: each is looked at a few times."""
        if len(self._counts) < self._sweep_at:
            return
        self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > now}
        self._sweep_at = max(SWEEP_AT, 2 * len(self._counts))


_memory = _Memory()
