"""What an event log promises its writer and its readers.

One writer at a time, fenced by the attempt; any number of readers, each at its own pace, in any
process that shares the store. Positions are cursors that the writer chooses, so that a log
rebuilt elsewhere has the same ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from chatbot.core.crypto import DataCipher
from conversations.events import Cursor, Event, EventType

# After the terminal event a log is kept this long for readers that come back to it.
RETENTION_S = 15 * 60


class Fenced(Exception):
    """A writer with a higher attempt has been here: this one must write nothing more."""


class LogLost(Exception):
    """The log does not end where this writer left it.

    Something was lost. The writer takes a new attempt and begins it with a snapshot.
    """


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

    A log may send events on a little later. What it then learns is raised by the next write; a
    terminal event is written when the call returns.
    """

    @property
    def next_seq(self) -> int: ...

    async def write(self, kind: EventType, data: dict[str, Any]) -> None:
        """Append the attempt's next event. Raises Fenced or LogLost."""

    async def write_event(self, event: Event) -> None:
        """Append an event that was numbered with `next_seq`. Raises Fenced or LogLost."""


class EventLog(Protocol):
    def writer(self, key: StreamKey, attempt: int) -> LogWriter:
        """Return the writer of an attempt, before its first event."""

    async def append(self, key: StreamKey, event: Event) -> None:
        """Add the next event of an attempt; one that is there already is not added twice.

        A terminal event starts the retention time. Raises Fenced or LogLost.
        """

    def follow(
        self, key: StreamKey, after: Cursor, *, idle_s: float
    ) -> AsyncGenerator[list[Event]]:
        """Yield what comes after a cursor, oldest first, then what arrives.

        Each batch is what has gathered since the last one. An empty batch means that nothing
        came for `idle_s` seconds, and is a chance to look elsewhere. Ends after the terminal
        event, also when the cursor is already behind it.
        """

    async def exists(self, key: StreamKey) -> bool:
        """Say whether anything is kept under this key."""

    async def delete(self, key: StreamKey) -> None:
        """Forget a log; its readers find the rest, if there is any, in the database."""

    async def aclose(self) -> None:
        """Let go of connections and tasks; call it in the event loop that used the log."""
