"""Filling the index for conversations that were there before it, and making it anew."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from conversations.models import Conversation, SearchEntry
from conversations.search.indexing import due_generations, index_conversation

AT_ONCE = 500


def to_index(*, whole: bool) -> QuerySet[Conversation]:
    """Return the conversations of which something is due, or all of them."""
    if whole:
        return Conversation.objects.all()
    due = due_generations().filter(conversation_id=OuterRef("pk"))
    return Conversation.objects.filter(Exists(due))


def fill_index(*, whole: bool = False, anew: bool = False) -> Iterator[UUID]:
    """Index one conversation after the other; yields each that is done.

    May be stopped and run again, and run beside the service. With `whole` also what nothing says
    is due; with `anew` each conversation's entries are made again.
    """
    after: UUID | None = None
    while True:
        rows = to_index(whole=whole or anew).order_by("pk")
        more = rows.filter(pk__gt=after) if after else rows
        some = list(more.values_list("pk", flat=True)[:AT_ONCE])
        if not some:
            return
        for conversation_id in some:
            if anew:
                SearchEntry.objects.filter(conversation_id=conversation_id).delete()
            index_conversation(conversation_id, whole=whole or anew)
            yield conversation_id
        after = some[-1]
