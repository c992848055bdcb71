"""What an event log promises its writer and its readers.

One writer at a time, fenced by the attempt; any number of readers, each at its own pace, in any
process that shares the store. Positions are cursors that the writer chooses, so that a log
rebuilt elsewhere has the same ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from conversations.events import Cursor, Event

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
    """Names a log. The conversation goes into the name so that a cluster keeps them together."""

    conversation_id: UUID
    generation_id: UUID


class EventLog(Protocol):
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
