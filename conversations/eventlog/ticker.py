"""The writing side of the Redis log: one pipeline per process, lane and tick, for all answers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.exceptions import ResponseError

from chatbot.core.redis import REPLY_TIMEOUT_S, Command, RedisAway, RedisLine
from chatbot.core.tasks import spawn
from conversations.eventlog.base import Fenced, LogAway, LogLost, StreamKey
from conversations.eventlog.codec import EventCodec
from conversations.eventlog.keys import ACTIVE_S, APPEND, APPEND_SHA, FENCED, OK, Lane
from conversations.events import Cursor, Event, EventType

logger = logging.getLogger(__name__)

# Long enough to send many answers' tokens together, short beside the time between two tokens.
TICK_S = 0.010
# Beyond so many answers a tick grows with their number, up to the longest: then each brings more
# than one token, and all of it still comes smoothly to the eye.
ANSWERS_PER_TICK = 25
LONGEST_TICK_S = 0.060
# A command carries at most so many events, so that a long backlog does not block the server.
EVENTS_PER_COMMAND = 256
RETRY_S = 0.1
RETRY_CAP_S = 1.0
# How long `flush` waits for a store that is away.
FLUSH_S = 2.0
# An answer that ended is offered to a store that is away for so long, then left to the database.
GIVE_UP_S = 60.0


class Ticker:
    """Sends on what its writers have gathered, every tick; what is urgent goes by itself, at once.

    A store that is away is tried again; an append that was carried out after all is recognised
    there, so nothing comes twice.
    """

    def __init__(self, lane: Lane, *, retention_s: float) -> None:
        self.lane = lane
        self.retention_s = retention_s
        # The tickers of all lanes together send as often as one would.
        self._answers_per_tick = ANSWERS_PER_TICK / lane.count
        self._line = RedisLine(greeting=[("SCRIPT", "LOAD", APPEND)], place=lane.place)
        self._dirty: dict[TickedWriter, None] = {}
        self._urgent: dict[TickedWriter, None] = {}
        self._has_urgent = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._next_tick = 0.0
        self._pause_s = 0.0

    def wake(self, writer: TickedWriter, *, is_urgent: bool) -> None:
        """Send what this writer holds with the next tick, or at once."""
        if is_urgent:
            self._urgent[writer] = None
            self._has_urgent.set()
        else:
            self._dirty[writer] = None
        if self._sender is None or self._sender.done():
            self._sender = spawn(self._send_all(), name="event log ticker")

    async def aclose(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        await self._line.aclose()

    async def _send_all(self) -> None:
        while self._dirty or self._urgent:
            batch = await self._next_batch()
            try:
                await self._send(batch)
            except BaseException:
                # One that fails must not keep the others' text back: the next wake sends it.
                self._dirty.update(dict.fromkeys(batch))
                raise

    async def _next_batch(self) -> list[TickedWriter]:
        loop = asyncio.get_running_loop()
        if self._pause_s:
            # Nobody's text is urgent to a server that does not answer.
            await asyncio.sleep(self._pause_s)
        elif not self._urgent and loop.time() < self._next_tick:
            try:
                async with asyncio.timeout_at(self._next_tick):
                    await self._has_urgent.wait()
            except TimeoutError:
                pass  # The tick has come.
        self._has_urgent.clear()
        batch = self._urgent
        self._urgent = {}
        if loop.time() >= self._next_tick:
            batch.update(self._dirty)
            self._dirty = {}
            share = max(1.0, len(batch) / self._answers_per_tick)
            self._next_tick = loop.time() + min(LONGEST_TICK_S, TICK_S * share)
        for writer in batch:
            self._dirty.pop(writer, None)
        return list(batch)

    async def _send(self, batch: list[TickedWriter]) -> None:
        try:
            commands = [writer.next_command() for writer in batch]
            replies = await self._line.call(commands, timeout_s=REPLY_TIMEOUT_S)
            refusal: Exception | None = next(
                (one for one in replies if isinstance(one, ResponseError)), None
            )
        except RedisAway as exc:
            replies, refusal = [], exc
        if refusal is None:
            self._pause_s = 0.0
        else:
            # Also a server that loads its data, has no memory left, or is a replica by now: a
            # new connection may reach a better one.
            self._wait_out(refusal)
            await self._line.aclose()
        for writer, reply in zip(batch, replies or [refusal] * len(batch), strict=True):
            if writer.take_reply(reply):
                self._dirty[writer] = None

    def _wait_out(self, exc: Exception) -> None:
        if not self._pause_s:
            logger.warning("The event log does not take events: %s", type(exc).__name__)
        self._pause_s = min(RETRY_CAP_S, self._pause_s * 2 or RETRY_S)


class TickedWriter:
    """Numbers the events of one attempt and holds them until the store has them."""

    def __init__(self, ticker: Ticker, key: StreamKey, attempt: int) -> None:
        self._ticker = ticker
        self._name = ticker.lane.log_name(key)
        # Without its key nothing of a conversation can be logged; the database tells its end.
        self._codec = EventCodec.of(key)
        self._attempt = attempt
        self._last_seq = 0
        self._has_text = False
        # What was sent and may be in the store, then what was not sent yet.
        self._sealed: list[bytes] = []
        self._pending: list[Event] = []
        self._settled = asyncio.Event()
        self._failure: Fenced | LogLost | None = None
        self._ended_at: float | None = None

    @property
    def next_seq(self) -> int:
        return self._last_seq + 1

    async def write(self, kind: EventType, data: dict[str, Any]) -> None:
        if self._failure is not None:
            raise self._failure
        if self._codec is None:
            self._last_seq += 1
            return
        is_delta = kind is EventType.DELTA
        if is_delta and self._pending and self._pending[-1].type is EventType.DELTA:
            last = self._pending[-1]
            self._pending[-1] = Event(last.cursor, kind, {"text": last.data["text"] + data["text"]})
            return
        self._add(Event(Cursor(self._attempt, self.next_seq), kind, data))
        self._ticker.wake(self, is_urgent=is_delta and not self._has_text)
        self._has_text = self._has_text or is_delta

    async def write_event(self, event: Event) -> None:
        if self._failure is not None:
            raise self._failure
        self._add(event)
        if event.is_terminal:
            self._ended_at = asyncio.get_running_loop().time()
        await self.flush()

    async def drop(self) -> None:
        self._last_seq -= len(self._pending)
        self._pending.clear()
        try:
            await self.flush()
        except (LogLost, LogAway):
            logger.debug("What was on its way to %s may have been lost", self._name)
        # Where the store is away, it is not tried again.
        self._sealed.clear()

    async def flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                while self._failure is None and (self._sealed or self._pending):
                    self._settled.clear()
                    self._ticker.wake(self, is_urgent=True)
                    await self._settled.wait()
        except TimeoutError as exc:
            raise LogAway from exc
        if self._failure is not None:
            raise self._failure

    def next_command(self) -> Command:
        """Return the append of what the store does not have for sure."""
        assert self._codec is not None
        room = EVENTS_PER_COMMAND - len(self._sealed)
        self._sealed += [self._codec.seal(event) for event in self._pending[:room]]
        del self._pending[:room]
        left = len(self._pending)
        first = self._last_seq - left - len(self._sealed) + 1
        is_whole = self._ended_at is not None and not left
        ttl_ms = round(1000 * (self._ticker.retention_s if is_whole else ACTIVE_S))
        head = ("EVALSHA", APPEND_SHA, 1, self._name, self._attempt, first, ttl_ms)
        return (*head, *self._sealed)

    def take_reply(self, reply: object) -> bool:
        """Note what became of the last command; say whether there is more to send."""
        if reply == OK:
            self._sealed.clear()
        elif isinstance(reply, Exception):
            return not self._is_given_up()
        else:
            self._failure = Fenced() if reply == FENCED else LogLost()
            self._sealed.clear()
            self._pending.clear()
        self._settled.set()
        return bool(self._pending)

    def _is_given_up(self) -> bool:
        if self._ended_at is None:
            return False
        return asyncio.get_running_loop().time() - self._ended_at > GIVE_UP_S

    def _add(self, event: Event) -> None:
        self._last_seq = event.cursor.seq
        if self._codec is not None:
            self._pending.append(event)
