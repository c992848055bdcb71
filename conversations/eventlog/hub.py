"""The reading side of the Redis log: one blocking read per process and lane, for all readers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.exceptions import ResponseError

from chatbot.core.redis import Command, RedisAway, RedisLine, RedisPipeline
from chatbot.core.tasks import spawn
from conversations.eventlog.base import StreamKey
from conversations.eventlog.codec import EventCodec, open_entries
from conversations.eventlog.keys import Lane
from conversations.eventlog.window import Window
from conversations.events import Cursor

logger = logging.getLogger(__name__)

# Events of one log kept for its readers; one that falls further behind reads the log itself.
WINDOW_EVENTS = 512
READ_EVENTS = 256
BLOCK_MS = 1000
# Beyond the block: a server that does not answer by then is away.
PATIENCE_S = 2.0
# The writers' pipelines arrive in many pieces: what is read a moment later comes together.
GATHER_S = 0.004
# A read names every log that is followed: with many of them, what comes is gathered for longer.
GATHER_PER_FEED_S = 0.00008
LONGEST_GATHER_S = 0.012
RETRY_S = 0.1
RETRY_CAP_S = 1.0
DOORBELL_S = 60
# In one step: a process that is killed between two would leave its doorbell behind for ever.
RING = "redis.call('XADD',KEYS[1],'MAXLEN',1,'*','x','') redis.call('EXPIRE',KEYS[1],ARGV[1])"
FROM_START = b"0-0"


class Feed:
    """What this process follows of one log: its newest events, and how many read them here."""

    def __init__(self, name: str, codec: EventCodec, after: Cursor) -> None:
        self.name = name
        self.codec = codec
        self.window = Window(after, capacity=WINDOW_EVENTS)
        self.position = str(after).encode()
        self.readers = 0

    def reach(self, after: Cursor) -> bool:
        """Begin earlier for a reader who stands before everything that is followed here.

        Nothing has come since the first reader joined, who may have named a place beyond the
        log's end: what others wait for would not be read.
        """
        if not self.window.is_empty or after >= self.window.base:
            return False
        self.window.begin_at(after)
        self.position = str(after).encode()
        return True

    def take(self, entries: list[Any]) -> None:
        self.position = entries[-1][0]
        self.window.extend(open_entries(self.codec, entries))


class Hub:
    """Follows every log of a lane that somebody in this process reads."""

    def __init__(self, lane: Lane, pipeline: RedisPipeline) -> None:
        self._lane = lane
        self._pipeline = pipeline
        self._line = RedisLine(place=lane.place)
        self._feeds: dict[str, Feed] = {}
        self._reader: asyncio.Task[None] | None = None
        # A read that blocks cannot be told of one more log, but it ends when this stream grows.
        self._doorbell = lane.doorbell_name()
        self._heard = FROM_START
        self._is_rung = False
        self._pause_s = 0.0

    def join(self, key: StreamKey, codec: EventCodec, after: Cursor) -> Feed:
        """Follow a log from a cursor on, or from where it is followed already."""
        name = self._lane.log_name(key)
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(name, codec, after)
            self._ring()
        elif feed.reach(after):
            self._ring()
        feed.readers += 1
        return feed

    def leave(self, feed: Feed) -> None:
        feed.readers -= 1
        if not feed.readers and self._feeds.get(feed.name) is feed:
            del self._feeds[feed.name]

    async def aclose(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        await self._line.aclose()

    def _ring(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = spawn(self._read_all(), name="event log reader")
        elif not self._is_rung:
            self._is_rung = True
            _ = spawn(self._end_read(), name="event log doorbell")

    async def _end_read(self) -> None:
        try:
            await self._pipeline.ask("EVAL", RING, 1, self._doorbell, DOORBELL_S)
        except RedisAway:
            logger.debug("The doorbell was not rung; the read ends by itself")

    async def _read_all(self) -> None:
        while self._feeds:
            # Whoever joins after this line rings, and is in the next read.
            self._is_rung = False
            asked = list(self._feeds.values())
            try:
                (reply,) = await self._line.call(
                    [self._command(asked)], timeout_s=BLOCK_MS / 1000 + PATIENCE_S
                )
                if isinstance(reply, ResponseError):
                    raise reply
            except RedisAway as exc:
                await self._wait_out(exc)
                continue
            self._pause_s = 0.0
            if reply:
                self._hand_out(reply, {feed.name.encode(): feed for feed in asked})
                share_s = min(LONGEST_GATHER_S, GATHER_PER_FEED_S * len(asked))
                await asyncio.sleep(max(GATHER_S, share_s))

    def _command(self, feeds: list[Feed]) -> Command:
        names = [feed.name for feed in feeds]
        positions = [feed.position for feed in feeds]
        head = ("XREAD", "COUNT", READ_EVENTS, "BLOCK", BLOCK_MS, "STREAMS")
        return (*head, self._doorbell, *names, self._heard, *positions)

    def _hand_out(self, reply: list[Any], feeds: dict[bytes, Feed]) -> None:
        """Give each log's new events to those who read it; what left meanwhile is dropped."""
        for name, entries in reply:
            feed = feeds.get(name)
            if feed is None:
                self._heard = entries[-1][0]
            elif feed.readers:
                feed.take(entries)

    async def _wait_out(self, exc: Exception) -> None:
        if not self._pause_s:
            logger.warning("The event log cannot be read: %s", type(exc).__name__)
        self._pause_s = min(RETRY_CAP_S, self._pause_s * 2 or RETRY_S)
        # Another server, or the same with an earlier clock, may count from anywhere.
        self._heard = FROM_START
        await self._line.aclose()
        await asyncio.sleep(self._pause_s)
