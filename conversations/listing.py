"""The list of somebody's conversations, the pinned ones first and then the newest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from chatbot.core.errors import InvalidCursor
from conversations.cursors import decode_position, encode_position
from conversations.models import Conversation
from conversations.queries import try_cipher
from conversations.views import view_conversation


class Place(NamedTuple):
    """A conversation's place in the list, as it was when a cursor was given out."""

    pinned: bool
    updated: datetime
    id: UUID

    @classmethod
    def of(cls, conversation: Conversation) -> Place:
        return cls(conversation.pinned, conversation.updated, conversation.id)

    def encode(self) -> str:
        return encode_position(self.updated, f"{self.pinned:d}|{self.id}")

    @classmethod
    def decode(cls, cursor: str) -> Place:
        """Raises InvalidCursor."""
        updated, rest = decode_position(cursor)
        pinned, _, identity = rest.partition("|")
        if pinned not in ("0", "1"):
            raise InvalidCursor
        try:
            return cls(pinned == "1", updated, UUID(identity))
        except ValueError as exc:
            raise InvalidCursor from exc


def list_conversations(
    user_id: UUID, *, cursor: str | None, limit: int, archived: bool = False
) -> dict[str, Any]:
    """Return a page, pinned ones first, newest first, and the next one's cursor.

    Either what is archived or what is not.

    A conversation that moves meanwhile takes no other with it: whatever stays in its place comes
    exactly once. Raises InvalidCursor.
    """
    page: list[Conversation] = []
    for rows in ranges_after(user_id, Place.decode(cursor) if cursor else None):
        page += rows.filter(archived=archived)[: limit + 1 - len(page)]
        if len(page) > limit:
            break
    shown = page[:limit]
    return {
        "items": [view_conversation(one, try_cipher(one)) for one in shown],
        "nextCursor": Place.of(shown[-1]).encode() if len(page) > limit else None,
    }


def ranges_after(user_id: UUID, place: Place | None) -> Iterator[QuerySet[Conversation]]:
    """Yield what comes after a place, as one range of the list's index after another.

    Not one comparison of all three columns: SQLite would get it as alternatives, which no index
    serves. So the pinned ones are a range of their own, and then the others.
    """
    owned = Conversation.objects.filter(user_id=user_id).order_by("-pinned", "-updated", "-id")
    if place is None:
        yield owned
        return
    # The first condition is the range; what is as old as the place itself is told by the second.
    yield owned.filter(
        Q(updated__lt=place.updated) | Q(id__lt=place.id),
        pinned=place.pinned,
        updated__lte=place.updated,
    )
    if place.pinned:
        yield owned.filter(pinned=False)
