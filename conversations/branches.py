"""Placing new messages in a conversation's tree. Call inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F

from chatbot.core.errors import BadRequest
from conversations.models import Conversation, Message, Role
from conversations.queries import ConversationNotFound, find_message


class InvalidParent(BadRequest):
    code = "invalid_parent"
    sentence = "A message can only follow an answer of the same conversation."


class NothingToRegenerate(BadRequest):
    code = "nothing_to_regenerate"
    sentence = "There is no answer here to write again."


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer goes: its own seq, the question it follows, and that if it is new."""

    seq: int
    parent: int
    question: Message | None = None


def take_seqs(conversation: Conversation, count: int) -> tuple[int, int | None]:
    """Reserve `count` places in a conversation; return the first, and the active leaf.

    The UPDATE also serialises whoever writes to this conversation until the transaction ends.
    Raises ConversationNotFound if it was deleted meanwhile.
    """
    rows = Conversation.objects.filter(pk=conversation.pk)
    if not rows.update(next_seq=F("next_seq") + count):
        raise ConversationNotFound
    next_seq, leaf = rows.values_list("next_seq", "active_leaf").get()
    return next_seq - count, leaf


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
