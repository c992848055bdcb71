"""Wake-ups between processes, over Redis. They are hints: what is lost costs a moment.

New work is a token in a list, which wakes one worker that has room. A stop is an entry in a
short stream, which every worker reads, because one of them writes that answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from uuid import UUID

from django.conf import settings

from chatbot.core.quickredis import Script, quick_redis
from chatbot.core.redis import RedisAway, RedisLine, blocking_redis
from chatbot.core.stores import REDIS

logger = logging.getLogger(__name__)

WORK = "doorbell:work"
STOPS = "doorbell:stops"
# More tokens than workers could take at once are of no use.
MAX_TOKENS = 1000
MAX_STOPS = 1000
KEEP_S = 60
# One for each message sent: a pipeline of redis-py's takes several times its CPU.
RING_WORK = Script("""
redis.call('LPUSH', KEYS[1], '')
redis.call('LTRIM', KEYS[1], 0, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")
BLOCK_S = 1
EARLIEST = b"0-0"
# Beyond the block: a server that does not answer by then is away.
PATIENCE_S = 2.0
RETRY_S = 0.5
# Rings that wait while the server is away; further ones are left to the workers' own looking.
MAX_WAITING = 256


class Ringer:
    """A thread that rings for others: whoever rings has committed, and must not wait for Redis."""

    def __init__(self, *, most_waiting: int = MAX_WAITING) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="doorbell")
        self._waiting = BoundedSemaphore(most_waiting)

    def submit(self, ring: Callable[[], None]) -> None:
        """Ring soon, or not at all. Returns at once, and raises nothing."""
        if not self._waiting.acquire(blocking=False):
            return
        try:
            self._thread.submit(self._ring, ring)
        except RuntimeError:
            # The process ends, and what was committed stays: the workers look by themselves.
            self._waiting.release()
            logger.warning("A wake-up was lost: this process ends")

    def close(self) -> None:
        """Return when all that was submitted has rung; nothing is taken any more."""
        self._thread.shutdown()

    def _ring(self, ring: Callable[[], None]) -> None:
        try:
            # With the server away, what waits here is let go at once.
            if REDIS.may_try():
                ring()
                REDIS.note_answer()
        except RedisAway as exc:
            REDIS.note_failure(exc)
            logger.warning("A wake-up was lost: %s", type(exc).__name__)
        except Exception:
            # Nobody asks the thread how it went, so that it would be lost without a word.
            logger.exception("A wake-up failed")
        finally:
            self._waiting.release()


_ringer = Ringer()


def ring_work() -> None:
    """Wake a worker that has room. Returns at once."""

    def ring() -> None:
        quick_redis(settings.REDIS_URL).run(RING_WORK, [WORK], MAX_TOKENS - 1, KEEP_S)

    _ringer.submit(ring)


def ring_stop(generation_id: UUID) -> None:
    """Tell the worker that writes this generation. Returns at once."""

    def ring() -> None:
        with blocking_redis().pipeline(transaction=False) as pipe:
            pipe.xadd(STOPS, {"g": generation_id.bytes}, maxlen=MAX_STOPS)
            pipe.expire(STOPS, KEEP_S)
            pipe.execute()

    _ringer.submit(ring)


async def hear_work(on_work: Callable[[], None], has_room: asyncio.Event) -> None:
    """Call `on_work` for each token taken, and take none while there is no room."""
    line = RedisLine()
    try:
        while True:
            await has_room.wait()
            try:
                (token,) = await line.call(
                    [("BLPOP", WORK, BLOCK_S)], timeout_s=BLOCK_S + PATIENCE_S
                )
            except RedisAway:
                await asyncio.sleep(RETRY_S)
                continue
            if isinstance(token, Exception):
                await asyncio.sleep(RETRY_S)
            elif token is not None:
                on_work()
    finally:
        await line.aclose()


async def hear_stops(on_stop: Callable[[UUID], None]) -> None:
    """Call `on_stop` for each stop rung from now on, also across a short absence of Redis.

    A stop may be heard again after such an absence.
    """
    line = RedisLine()
    last: bytes | None = None
    try:
        while True:
            try:
                if last is None:
                    last = await _newest(line)
                read = ("XREAD", "BLOCK", BLOCK_S * 1000, "STREAMS", STOPS, last)
                (reply,) = await line.call([read], timeout_s=BLOCK_S + PATIENCE_S)
            except RedisAway:
                # Who answers next may be another server, whose clock gave earlier ids to what was
                # rung meanwhile: everything that is still there is heard, however often.
                last = None if last is None else EARLIEST
                await asyncio.sleep(RETRY_S)
                continue
            if isinstance(reply, Exception):
                await asyncio.sleep(RETRY_S)
                continue
            for _, entries in reply or ():
                for entry_id, (_, identity) in entries:
                    last = entry_id
                    on_stop(UUID(bytes=identity))
    finally:
        await line.aclose()


async def _newest(line: RedisLine) -> bytes:
    ask = ("XREVRANGE", STOPS, "+", "-", "COUNT", 1)
    (entries,) = await line.call([ask], timeout_s=PATIENCE_S)
    if isinstance(entries, Exception):
        raise entries
    return entries[0][0] if entries else EARLIEST
