"""Placing new messages in a conversation's tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chatbot.core.errors import BadRequest
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

    `changes` are made to the conversation along with it.
    """

    parent_seq: int
    question: Message | None = None
    changes: dict[str, Any] = field(default_factory=dict)


class PlaceTaken(Exception):
    """Somebody else wrote to the conversation since it was read: read it again."""


def take_places(conversation: Conversation, count: int, *, now: datetime, **changes: Any) -> int:
    """Reserve `count` places in a conversation, the last for the answer, and show that branch.

    Returns the first. The UPDATE also serialises whoever writes to this conversation until the
    transaction ends; `changes` go with it. Raises PlaceTaken.
    """
    first = conversation.next_seq
    unmoved = Conversation.objects.filter(pk=conversation.pk, next_seq=first)
    taken = unmoved.update(
        next_seq=first + count, active_leaf=first + count - 1, updated=now, **changes
    )
    if not taken:
        raise PlaceTaken
    return first


def check_parent(conversation: Conversation, parent_seq: int | None) -> None:
    """Raises InvalidParent unless the parent is an answer here, or there is none."""
    if parent_seq is None:
        return
    parent = Message.objects.filter(conversation=conversation, seq=parent_seq).first()
    if parent is None or parent.role != Role.ASSISTANT:
        raise InvalidParent


def question_of(conversation: Conversation, seq: int) -> int:
    """Return the seq of the user message that a message answers, or of itself if it asks.

    Raises MessageNotFound or NothingToRegenerate.
    """
    message = find_message(conversation, seq)
    if message.role == Role.USER:
        return message.seq
    if message.parent_seq is None:
        raise NothingToRegenerate
    return message.parent_seq
