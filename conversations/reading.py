"""Reading a generation: replay after the cursor, then follow, whatever became of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from chatbot.accounts.models import User
from chatbot.core.crypto import DataCipher
from chatbot.core.db import DatabaseAway, db_call
from chatbot.core.errors import InvalidCursor
from chatbot.core.metrics import READERS
from conversations.eventlog import EventLog, LogAway, StreamKey, get_event_log
from conversations.eventlog.window import after_gap
from conversations.events import START, Cursor, Event, EventType, merge_deltas
from conversations.models import Generation, State
from conversations.queries import find_generation, try_cipher
from conversations.terminals import replay_ended
from conversations.turns import StartedTurn

logger = logging.getLogger(__name__)

# Proxies commonly drop a response after a silent minute; lost beats still fit.
HEARTBEAT_S = 15.0
# How long a silent log is believed before the database is asked whether it is all over.
CHECK_S = 5.0
IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One reader of one generation, allowed to read it, standing at a cursor.

    `is_live`: it had not ended when the reader came. `is_new`: it was accepted just now, so that
    nothing was written yet. `is_over`: the reader already stands at its end. `is_halted`: what its
    log may still hold is not to be read.
    """

    generation_id: UUID
    key: StreamKey
    after: Cursor
    is_live: bool
    is_new: bool = False
    is_over: bool = False
    is_halted: bool = False

    async def batches(self) -> AsyncGenerator[list[Event]]:
        """Yield what there is, gathered, then what comes; ends after the terminal event.

        An empty batch asks the caller to send a heartbeat. It ends without that event when the
        answer was deleted, or has ended and cannot be read now: the reader is to come again.
        """
        READERS.inc()
        try:
            batches = self._follow if self.is_live else self._replay
            async with aclosing(batches(get_event_log())) as found:
                async for batch in found:
                    yield batch
        finally:
            READERS.dec()

    async def _follow(self, log: EventLog) -> AsyncGenerator[list[Event]]:
        clock = asyncio.get_running_loop().time
        reader = log.follow(self.key, self.after, is_new=self.is_new)
        heard = checked = clock()
        shown = START
        try:
            while True:
                batch = await reader.next(idle_s=IDLE_S)
                now = clock()
                if batch:
                    heard = checked = now
                    shown = batch[-1].cursor
                    yield _shorten(batch)
                    if batch[-1].is_terminal:
                        return
                    continue
                # A log that is silent for long is not believed without the database.
                if now - checked >= CHECK_S:
                    checked = now
                    ended = await self._read_ended(shown)
                    if ended is not None:
                        yield ended
                        return
                if now - heard >= HEARTBEAT_S:
                    heard = now
                    yield []
        finally:
            reader.close()

    async def _replay(self, log: EventLog) -> AsyncGenerator[list[Event]]:
        """Yield an answer that has ended: what the log still has of it, or the whole."""
        after, shown = self.after, START
        try:
            while not self.is_halted and (
                batch := after_gap(after, await log.read(self.key, after))
            ):
                after = shown = batch[-1].cursor
                yield _shorten(batch)
                if batch[-1].is_terminal:
                    return
        except LogAway:
            logger.warning("The log of generation %s is away", self.generation_id)
        if ended := await self._read_ended(shown):
            yield ended

    async def _read_ended(self, shown: Cursor) -> list[Event] | None:
        """Return an ended answer from the database, None while it is being written.

        Its text takes the place before its end, where this connection may stand already: what
        is not newer than `shown` is left out. With the database away, an answer that streams
        goes on streaming. Of one that was deleted meanwhile there is nothing to return.
        """

        def read() -> list[Event] | None:
            rows = Generation.objects.select_related("conversation")
            generation = rows.filter(pk=self.generation_id).first()
            if generation is None:
                return []
            if generation.is_active:
                return None
            return [event for event in replay_ended(generation) if event.cursor > shown]

        try:
            return await db_call(read)
        except DatabaseAway:
            logger.warning("The state of generation %s could not be read", self.generation_id)
            return None


def _shorten(batch: list[Event]) -> list[Event]:
    """Return the same in fewer events; of an answer that was halted its end alone."""
    return batch[-1:] if batch[-1].type is EventType.HALTED else merge_deltas(batch)


async def read_turn(user: User, turn: StartedTurn) -> Reading:
    """Let the person who started a turn read its answer from the start."""
    if not turn.is_new:
        return await open_reading(user, turn.generation_id)
    return Reading(turn.generation_id, turn.key, START, is_live=True, is_new=True)


async def open_reading(user: User, generation_id: UUID, after: Cursor = START) -> Reading:
    """Let a person read a generation from a cursor on.

    `is_over` says that the cursor stands at the end: there is nothing more, now or later.
    Raises GenerationNotFound, or InvalidCursor for a place this generation never had.
    """

    def find() -> tuple[Generation, DataCipher | None]:
        generation = find_generation(user.pk, generation_id)
        return generation, try_cipher(generation.conversation)

    generation, cipher = await db_call(find)
    end = Cursor(generation.attempt, generation.last_seq)
    if after.attempt > generation.attempt or (after > end and not generation.is_active):
        raise InvalidCursor
    return Reading(
        generation_id=generation.pk,
        key=StreamKey(generation.conversation_id, generation.pk, cipher),
        after=after,
        is_live=generation.is_active,
        is_over=not generation.is_active and after == end,
        is_halted=generation.state == State.HALTED,
    )
