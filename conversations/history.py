"""Pages of a conversation's messages, from any place of the branch shown in either direction.

A page is read from its last message backwards, as the messages name the one before them. Where
a page begins or ends that lies before others is found by `forks`; so each page is a range or a
few of the composite key, and costs the same wherever it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from chatbot.core.errors import BadRequest
from chatbot.core.prepared import PreparedSelect
from conversations.forks import Run, count_messages, read_runs, read_siblings, seq_at
from conversations.models import Conversation, Generation, Message, Role
from conversations.models.generation import ACTIVE_STATES
from conversations.queries import (
    MessageNotFound,
    find_conversation,
    find_message,
    try_cipher,
)
from conversations.views import (
    read_system_prompt,
    view_conversation,
    view_generation,
    view_message,
)

# Messages read at a time, at least.
LEAST_CHUNK = 8


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: the newest, or that before, after or around a message. At most `limit` long."""

    limit: int
    before: int | None = None
    after: int | None = None
    around: int | None = None

    def __post_init__(self) -> None:
        """Raises BadRequest for more than one place."""
        if [self.before, self.after, self.around].count(None) < 2:
            raise BadRequest("A page is before, after or around one message.")


@dataclass(frozen=True, slots=True)
class Page:
    """Messages of a branch in its order, and whether others come before and after them."""

    messages: Sequence[Message]
    has_older: bool
    has_newer: bool


def read_conversation(user_id: UUID, conversation_id: UUID, request: PageRequest) -> dict[str, Any]:
    """Return a conversation and a page of its branch shown, oldest message first.

    `nextCursor` is the `before` of the page with the older messages, `newerCursor` the `after` of
    that with the newer ones; None where there are none. Raises ConversationNotFound, or
    MessageNotFound for a place that is not on the branch.
    """
    conversation = find_conversation(user_id, conversation_id)
    cipher = try_cipher(conversation)
    page = _read_page(conversation, request)
    generations = _generations_of(conversation_id, page.messages)
    siblings = read_siblings(
        conversation_id,
        [message.parent_seq for message in page.messages],
        last=conversation.next_seq - 1,
    )
    active = find_active(conversation_id)
    return {
        **view_conversation(conversation, cipher),
        "systemPrompt": read_system_prompt(conversation, cipher),
        "memoryVersion": conversation.memory_version,
        "activeGeneration": view_generation(active) if active else None,
        "messages": [
            {
                **view_message(message, cipher, generations.get(message.seq)),
                "siblings": siblings.get(message.parent_seq, []),
            }
            for message in page.messages
        ],
        "nextCursor": page.messages[0].seq if page.has_older else None,
        "newerCursor": page.messages[-1].seq if page.has_newer else None,
    }


def _read_page(conversation: Conversation, request: PageRequest) -> Page:
    if request.after is not None:
        return _read_after(conversation, request.after, request.limit)
    if request.around is not None:
        return _read_around(conversation, request.around, request.limit)
    if request.before is not None:
        parent = find_message(conversation, request.before).parent_seq
        return _read_back(conversation, parent, request.limit, has_newer=True)
    return _read_back(conversation, conversation.active_leaf, request.limit, has_newer=False)


def _read_back(
    conversation: Conversation, last: int | None, limit: int, *, has_newer: bool
) -> Page:
    """Return the page that ends with a message."""
    walked = _walk_back(conversation.pk, last, limit + 1)
    messages = walked[:limit][::-1]
    return Page(
        messages,
        has_older=len(walked) > limit,
        has_newer=has_newer and bool(messages),
    )


def _read_after(conversation: Conversation, seq: int, limit: int) -> Page:
    leaf = conversation.active_leaf
    runs = _runs_after(conversation, seq)
    last = seq_at(runs, limit)
    count = count_messages(runs) if last is None else limit
    messages = _walk_back(conversation.pk, leaf if last is None else last, count)[::-1]
    return Page(messages, has_older=bool(messages), has_newer=last not in (None, leaf))


def _read_around(conversation: Conversation, seq: int, limit: int) -> Page:
    leaf = conversation.active_leaf
    runs = _runs_after(conversation, seq)
    # Half of what is shown besides it comes after it.
    newer = (limit - 1) // 2
    last = seq_at(runs, newer) if newer else seq
    return _read_back(
        conversation, leaf if last is None else last, limit, has_newer=last not in (None, leaf)
    )


def _walk_back(conversation_id: UUID, last: int | None, count: int) -> list[Message]:
    """Return so many messages of a branch, at most, from one backwards."""
    found: list[Message] = []
    wanted, size = last, count
    while wanted is not None and len(found) < count:
        before = len(found)
        read = _up_to(min(size, count - before))
        for message in read.objects(conversation=conversation_id, last=wanted):
            if message.seq == wanted:
                found.append(message)
                wanted = message.parent_seq
        if len(found) == before:
            break
        # Where edits left out much of what was read, less is read at a time.
        size = 2 * (len(found) - before) + LEAST_CHUNK
    return found


def _runs_after(conversation: Conversation, seq: int) -> list[Run]:
    runs = read_runs(conversation.pk, after=seq, leaf=conversation.active_leaf)
    if runs is None:
        raise MessageNotFound
    return runs


@cache
def _up_to(size: int) -> PreparedSelect[Message]:
    return PreparedSelect(
        lambda at: Message.objects.filter(
            conversation_id=at.conversation, seq__lte=at.last
        ).order_by("-seq")[:size],
        conversation=UUID,
        last=int,
    )


_active = PreparedSelect(
    lambda at: Generation.objects.filter(
        conversation_id=at.conversation, state__in=ACTIVE_STATES
    ).order_by(),
    conversation=UUID,
)


def find_active(conversation_id: UUID) -> Generation | None:
    """Return what is being written in a conversation now."""
    found = _active.objects(conversation=conversation_id)
    return found[0] if found else None


def _generations_of(conversation_id: UUID, messages: Sequence[Message]) -> dict[int, Generation]:
    answers = [message.seq for message in messages if message.role == Role.ASSISTANT]
    if not answers:
        return {}
    # Of a few sizes only, so that there are as few statements: the last is asked for repeatedly.
    size = 1 << (len(answers) - 1).bit_length()
    answers += answers[-1:] * (size - len(answers))
    asked = {f"seq{place}": seq for place, seq in enumerate(answers)}
    found = _answering(size).objects(conversation=conversation_id, **asked)
    return {generation.answer_seq: generation for generation in found}


@cache
def _answering(size: int) -> PreparedSelect[Generation]:
    names = [f"seq{place}" for place in range(size)]
    return PreparedSelect(
        lambda at: Generation.objects.filter(
            conversation_id=at.conversation, answer_seq__in=[getattr(at, one) for one in names]
        ).order_by(),
        conversation=UUID,
        **dict.fromkeys(names, int),
    )
