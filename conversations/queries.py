"""Reads, which change nothing.

What takes a user's id checks that they own what it returns; the rest is for callers who did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from django.db.models import Count, IntegerField, QuerySet, Subquery
from django.db.models.functions import Coalesce

from chatbot.accounts.budgets import select_used
from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.errors import NotFound
from chatbot.core.prepared import PreparedSelect, Slots
from conversations.models import Conversation, Generation, Message
from conversations.models.generation import ACTIVE_STATES
from conversations.sealing import open_cipher, report_unreadable
from conversations.views import (
    view_message,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LIST_LIMIT = 100
# Messages read at a time while following a branch backwards: few at first, for most turns look
# at the newest only.
BRANCH_CHUNKS = (16, 100)


class ConversationNotFound(NotFound):
    code = "conversation_not_found"
    sentence = "There is no such conversation."


class GenerationNotFound(NotFound):
    code = "generation_not_found"
    sentence = "There is no such answer."


class MessageNotFound(NotFound):
    code = "message_not_found"
    sentence = "There is no such message."


_owned = PreparedSelect(
    lambda at: Conversation.objects.filter(pk=at.id, user_id=at.user), id=UUID, user=UUID
)


def find_conversation(user_id: UUID, conversation_id: UUID) -> Conversation:
    """Raises ConversationNotFound, also for somebody else's."""
    found = _owned.objects(id=conversation_id, user=user_id)
    if not found:
        raise ConversationNotFound
    return found[0]


def _count_active(at: Slots) -> Subquery:
    active = Generation.objects.filter(user_id=at.user, state__in=ACTIVE_STATES)
    # Sorted by nothing and grouped by what is the same in all rows: one number.
    counted = active.order_by().values("user_id").annotate(number=Count("pk")).values("number")
    return Subquery(counted, output_field=IntegerField())


_owned_and_active = PreparedSelect(
    lambda at: Conversation.objects.filter(pk=at.id, user_id=at.user).annotate(
        active=Coalesce(_count_active(at), 0), used=Coalesce(select_used(at.user, at.month), 0)
    ),
    id=UUID,
    user=UUID,
    month=date,
)


class Standing(NamedTuple):
    """Where a person stands who writes to a conversation.

    How many answers they wait for, here or elsewhere, and the tokens of the month that are used.
    """

    conversation: Conversation
    active: int
    used: int


def find_standing(user_id: UUID, conversation_id: UUID, month: date) -> Standing:
    """Raises ConversationNotFound, also for somebody else's."""
    found = _owned_and_active.objects(id=conversation_id, user=user_id, month=month)
    if not found:
        raise ConversationNotFound
    more = vars(found[0])
    return Standing(found[0], more["active"], more["used"])


_active_of = PreparedSelect(
    lambda at: (
        Generation.objects.filter(user_id=at.user, state__in=ACTIVE_STATES)
        .order_by()
        .values("user_id")
        .annotate(number=Count("pk"))
        .values_list("number")
    ),
    user=UUID,
)


def count_active(user_id: UUID) -> int:
    """Return how many answers a person waits for."""
    found = _active_of.tuples(user=user_id)
    return int(found[0][0]) if found else 0


_written_for = PreparedSelect(
    lambda at: Generation.objects.select_related("conversation").filter(pk=at.id, user_id=at.user),
    id=UUID,
    user=UUID,
)


def find_generation(user_id: UUID, generation_id: UUID) -> Generation:
    """Raises GenerationNotFound, also for somebody else's."""
    found = _written_for.objects(id=generation_id, user=user_id)
    if not found:
        raise GenerationNotFound
    return found[0]


def try_cipher(conversation: Conversation) -> DataCipher | None:
    """Return the conversation's cipher, or None, with an alert, when its key does not open."""
    try:
        return open_cipher(conversation)
    except CannotOpen as exc:
        report_unreadable(f"data key of {conversation.pk}", exc)
        return None


def walk_branch(conversation_id: UUID, leaf: int | None) -> Iterator[Message]:
    """Yield the messages of a branch from its leaf back to its root.

    Reads ranges of the composite key, so that the newest of a long history cost what they are.
    """

    def read(below: int, *, first: bool) -> list[Message]:
        read_chunk = _first_messages if first else _more_messages
        return read_chunk.objects(conversation=conversation_id, below=below)

    return walk_rows(read, leaf, lambda message: (message.seq, message.parent_seq))


def walk_seqs(conversation_id: UUID, leaf: int | None) -> Iterator[int]:
    """Yield the places of a branch's messages, from its leaf back to its root."""

    def read(below: int, *, first: bool) -> list[tuple[Any, ...]]:
        read_chunk = _first_places if first else _more_places
        return read_chunk.tuples(conversation=conversation_id, below=below)

    for seq, _ in walk_rows(read, leaf, lambda row: (row[0], row[1])):
        yield seq


def _chunk(size: int) -> Callable[[Slots], QuerySet[Message]]:
    return lambda at: Message.objects.filter(
        conversation_id=at.conversation, seq__lte=at.below
    ).order_by("-seq")[:size]


def _place_chunk(size: int) -> Callable[[Slots], QuerySet[Message, Any]]:
    return lambda at: _chunk(size)(at).values_list("seq", "parent_seq")


_first_messages, _more_messages = (
    PreparedSelect(_chunk(size), conversation=UUID, below=int) for size in BRANCH_CHUNKS
)
_first_places, _more_places = (
    PreparedSelect(_place_chunk(size), conversation=UUID, below=int) for size in BRANCH_CHUNKS
)


class ReadChunk(Protocol[T_co]):
    def __call__(self, below: int, *, first: bool) -> Sequence[T_co]:
        """Return messages from a seq downwards."""


def walk_rows(
    read: ReadChunk[T], leaf: int | None, place: Callable[[T], tuple[int, int | None]]
) -> Iterator[T]:
    """Yield the rows of a branch as they are read; `place` says a row's seq and its parent's."""
    wanted, is_first = leaf, True
    while wanted is not None:
        # What an edit left out is not read on the way: the next chunk begins where it goes on.
        chunk = read(wanted, first=is_first)
        if not chunk or place(chunk[0])[0] != wanted:
            return
        for row in chunk:
            seq, parent = place(row)
            if seq == wanted:
                yield row
                wanted = parent
        is_first = False


def find_message(conversation: Conversation, seq: int) -> Message:
    """Raises MessageNotFound."""
    found = Message.objects.filter(conversation=conversation, seq=seq).first()
    if found is None:
        raise MessageNotFound
    return found


def read_answer(generation: Generation) -> dict[str, Any]:
    """Return the message that a generation answers with, as people see it."""
    conversation = generation.conversation
    message = find_message(conversation, generation.answer_seq)
    return view_message(message, try_cipher(conversation), generation)
