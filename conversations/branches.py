"""Placing new messages in a conversation's tree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from chatbot.core.errors import BadRequest
from chatbot.core.fields import SealedField
from chatbot.core.prepared import Kind, PreparedUpdate, Slots
from conversations.models import Conversation, Message, Role
from conversations.queries import find_message


class InvalidParent(BadRequest):
    code = "invalid_parent"
    sentence = "A message can only follow an answer of the same conversation."


class NothingToRegenerate(BadRequest):
    code = "nothing_to_regenerate"
    sentence = "There is no answer here to write again."


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer that is about to be asked for: the message it follows, and that if it is new.

    `text` is what that message says. The title is what a conversation without one is called
    from now on.
    """

    parent_seq: int
    text: str
    question: Message | None = None
    title_sealed: bytes | None = None


class PlaceTaken(Exception):
    """Somebody else wrote to the conversation since it was read: read it again."""


def _unmoved(at: Slots) -> QuerySet[Conversation]:
    return Conversation.objects.filter(pk=at.id, next_seq=at.first)


def _moved(at: Slots) -> dict[str, Any]:
    return {
        "next_seq": at.next,
        "active_leaf": at.leaf,
        # What is gone on with is not put away any more.
        "archived": False,
        "smart_until": at.smart,
        "updated": at.now,
    }


def _moved_and_titled(at: Slots) -> dict[str, Any]:
    # Unless somebody has named it meanwhile.
    title = Coalesce("title_sealed", Value(at.title), output_field=SealedField())
    return {**_moved(at), "title_sealed": title}


_PLACES: dict[str, Kind] = {
    "id": UUID,
    "first": int,
    "next": int,
    "leaf": int,
    "smart": int,
    "now": datetime,
}
_move = PreparedUpdate(_unmoved, _moved, **_PLACES)
_move_and_title = PreparedUpdate(_unmoved, _moved_and_titled, title=bytes, **_PLACES)


def answer_seq(conversation: Conversation, draft: Draft) -> int:
    """Return the place that the answer of a draft will have, unless somebody else is quicker."""
    return conversation.next_seq + 1 if draft.question else conversation.next_seq


def take_places(
    conversation: Conversation, draft: Draft, *, smart_until: int, now: datetime
) -> int:
    """Reserve the places of a draft in its conversation, and show that branch.

    Returns the answer's, which is the last. The UPDATE also serialises whoever writes to this
    conversation until the transaction ends. Raises PlaceTaken.
    """
    first, answer = conversation.next_seq, answer_seq(conversation, draft)
    values = {
        "id": conversation.pk,
        "first": first,
        "next": answer + 1,
        "leaf": answer,
        "smart": smart_until,
        "now": now,
    }
    if draft.title_sealed is None:
        taken = _move(**values)
    else:
        taken = _move_and_title(**values, title=draft.title_sealed)
    if not taken:
        raise PlaceTaken
    return answer


def check_parent(conversation: Conversation, parent_seq: int | None) -> None:
    """Raises InvalidParent unless the parent is an answer here, or there is none."""
    if parent_seq is None:
        return
    parent = Message.objects.filter(conversation=conversation, seq=parent_seq).first()
    if parent is None or parent.role != Role.ASSISTANT:
        raise InvalidParent


def question_of(conversation: Conversation, seq: int) -> Message:
    """Return the user message that a message answers, or that message itself if it asks.

    Raises MessageNotFound or NothingToRegenerate.
    """
    message = find_message(conversation, seq)
    if message.role == Role.USER:
        return message
    if message.parent_seq is None:
        raise NothingToRegenerate
    return find_message(conversation, message.parent_seq)
