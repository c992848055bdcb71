"""What an event log promises its writer and its readers.

One writer at a time, fenced by the attempt; any number of readers, each at its own pace, in any
process that shares the store. Positions are cursors that the writer chooses, so that a log
rebuilt elsewhere has the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from chatbot.core.crypto import DataCipher
from conversations.events import START, Cursor, Event, EventType


class Fenced(Exception):
    """A writer with a higher attempt has been here: this one must write nothing more."""


class LogLost(Exception):
    """The log does not end where this writer left it.

    Something was lost. The writer takes a new attempt and begins it with a snapshot.
    """


class LogAway(Exception):
    """The log's store does not answer. What was written may or may not be in it."""


@dataclass(frozen=True, slots=True)
class StreamKey:
    """Names a log. The conversation goes into the name so that a cluster keeps them together.

    The cipher opens and seals what is said in it; whoever reads or writes text brings it.
    """

    conversation_id: UUID
    generation_id: UUID
    cipher: DataCipher | None = field(default=None, compare=False, repr=False)


class LogWriter(Protocol):
    """The writer's side of a log: numbers the events of one attempt.

    A log may send events on a little later, and neighbouring deltas as one. What it then learns
    is raised by the next call.
    """

    @property
    def next_seq(self) -> int: ...

    async def write(self, kind: EventType, data: dict[str, Any]) -> None:
        """Append the attempt's next event. Raises Fenced or LogLost."""

    async def write_event(self, event: Event) -> None:
        """Append an event that was numbered with `next_seq`. Raises Fenced or LogLost."""

    async def drop(self) -> None:
        """Send nothing more; return once nothing is on its way, or the store is away.

        Raises Fenced.
        """

    async def flush(self) -> None:
        """Return once the log holds all that was written.

        Raises Fenced or LogLost, or LogAway when the store does not take it in time; it is then
        still tried, as long as it makes sense.
        """


class LogReader(Protocol):
    """One reader's place in a log."""

    async def next(self, *, idle_s: float) -> list[Event]:
        """Return what has gathered since the last call, oldest first, as soon as there is any.

        Nothing means that none came for `idle_s` seconds, and is a chance to look elsewhere; a
        store that is away is silent. After the terminal event there is nothing more to ask for.
        Nothing is returned across a gap: what follows one begins with the first event of a later
        attempt, or with a snapshot.
        """

    def close(self) -> None:
        """Stop reading."""


class EventLog(Protocol):
    def writer(self, key: StreamKey, attempt: int) -> LogWriter:
        """Return the writer of an attempt, before its first event."""

    async def append(self, key: StreamKey, event: Event) -> None:
        """Add the next event of an attempt; one that is there already is not added twice.

        A terminal event starts the retention time. Raises Fenced, LogLost or LogAway.
        """

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        """Return a run of what comes right after a cursor, oldest first; empty at the end.

        Raises LogAway.
        """

    def follow(self, key: StreamKey, after: Cursor, *, is_new: bool = False) -> LogReader:
        """Return a reader of what comes after a cursor; close it when done.

        Of a log that `is_new` nothing has been missed, so there is no looking back.
        """

    async def delete(self, key: StreamKey) -> None:
        """Forget a log; its readers find the rest, if there is any, in the database.

        Those who follow it are given what a later attempt writes.

        Raises LogAway.
        """

    async def aclose(self) -> None:
        """Let go of connections and tasks; call it in the event loop that used the log."""
