"""The messages around one, for staff who said why they look: no owner is asked for here."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from conversations.models import Conversation, Message
from conversations.queries import try_cipher, walk_branch
from conversations.views import view_message


def read_around(
    conversation_id: UUID, *, seq: int | None, at: datetime, before: int, after: int
) -> list[dict[str, Any]]:
    """Return a message with those before and after it on its branch, oldest first.

    Without a `seq`, those that were there at a time. None are there when the conversation is deleted.
    """
    conversation = Conversation.objects.filter(pk=conversation_id).first()
    if conversation is None:
        return []
    if seq is None:
        earlier = Message.objects.filter(conversation=conversation, created__lte=at)
        seq = earlier.order_by("-seq").values_list("seq", flat=True).first()
    messages: list[Message] = []
    for message in walk_branch(conversation_id, seq):
        messages.append(message)
        if len(messages) > before:
            break
    messages.reverse()
    messages += _walk_on(conversation_id, seq, after)
    cipher = try_cipher(conversation)
    return [view_message(message, cipher, None) for message in messages]


def _walk_on(conversation_id: UUID, seq: int | None, count: int) -> list[Message]:
    """Return what follows a message: of several answers or edits, the newest."""
    found: list[Message] = []
    while seq is not None and len(found) < count:
        following = Message.objects.filter(conversation_id=conversation_id, parent_seq=seq)
        child = following.order_by("-seq").first()
        if child is None:
            break
        found.append(child)
        seq = child.seq
    return found
