"""Who waits in line, in its order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chatbot.core.prepared import PreparedSelect
from conversations.claims import MAX_CLAIMS, QUEUED
from conversations.eventlog import StreamKey
from conversations.models import Conversation, Generation
from conversations.queries import try_cipher
from conversations.workers import count_slots

# Beyond, nobody is told a place.
LONGEST_LINE = 5_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A generation in the queue. An `attempt` says that it was begun before."""

    generation_id: UUID
    conversation_id: UUID
    user_id: UUID
    plan: str
    model: str
    due: datetime
    attempt: int


_line: PreparedSelect[Any] = PreparedSelect(
    lambda _: (
        Generation.objects.filter(QUEUED, claims__lt=MAX_CLAIMS, stop_requested=False)
        .order_by("due", "id")
        .values_list(
            *("pk", "conversation_id", "user_id", "user__plan", "routed_model", "due", "attempt")
        )[:LONGEST_LINE]
    )
)


def read_line() -> tuple[list[Waiting], int]:
    """Return who waits, and how many answers all workers together write at once."""
    line = [Waiting(*row) for row in _line.tuples()]
    return line, count_slots() if line else 0


def find_keys(waiting: Collection[Waiting]) -> dict[UUID, StreamKey]:
    """Return the logs of these, by generation; a conversation deleted meanwhile has none."""
    ids = {one.conversation_id for one in waiting}
    ciphers = {one.pk: try_cipher(one) for one in Conversation.objects.filter(pk__in=ids)}
    return {
        one.generation_id: StreamKey(
            one.conversation_id, one.generation_id, ciphers[one.conversation_id]
        )
        for one in waiting
        if one.conversation_id in ciphers
    }
