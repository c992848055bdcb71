"""Messages and generations that tests start from, written without asking for an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.utils import timezone

from chatbot.accounts.budgets import reserve_tokens
from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations.claims import Claim
from conversations.events import Event
from conversations.generations import Outcome, finish_generation
from conversations.models import Conversation, Generation, Message, Role, Status
from conversations.sealing import open_cipher, seal_message
from tests.factories import make_conversation


def put_message(
    conversation: Conversation, seq: int, text: str, *, parent: int | None = None, **fields: object
) -> Message:
    """Write a message and make it the leaf; odd places ask unless `fields` say otherwise."""
    fields.setdefault("role", Role.USER if seq % 2 else Role.ASSISTANT)
    fields.setdefault("status", Status.COMPLETE)
    fields.setdefault("token_count", 20)
    sealed = seal_message(open_cipher(conversation), conversation.pk, seq, text)
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=seq, next_seq=seq + 1)
    return Message.objects.create(
        conversation=conversation, seq=seq, parent_seq=parent, content_sealed=sealed, **fields
    )


def put_generation(conversation: Conversation, answer: Message, **fields: object) -> Generation:
    return Generation.objects.create(
        conversation=conversation,
        user=conversation.user,
        answer_seq=answer.seq,
        answer_id=answer.id,
        idempotency_key=str(answer.id),
        request_digest="",
        requested_model="auto",
        budget_month=reserve_tokens(conversation.user, 1_000, now=timezone.now()).month,
        reserved_tokens=1_000,
        max_output=600,
        **fields,
    )


def queue_generation(user: User, **fields: object) -> Generation:
    """Queue an answer in a conversation of its own."""
    conversation = make_conversation(user, next_seq=3)
    answer = Message.objects.create(
        conversation=conversation, seq=2, role=Role.ASSISTANT, status=Status.PENDING
    )
    return put_generation(conversation, answer, **fields)


def finish_claim(claim: Claim, outcome: Outcome) -> Event:
    """End a generation as its worker does, from the row as it was claimed."""
    rows = Generation.objects.select_related("conversation")
    return finish_generation(claim, outcome, rows.get(pk=claim.generation_id))


async def fill_line(user: User, count: int, **fields: Any) -> None:
    fields = {"routed_model": "smollm2-135m"} | fields
    for _ in range(count):
        await db_call(queue_generation, user, **fields)


def put_branches(
    conversation: Conversation,
    parents: Sequence[int | None],
    *,
    marked: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Write a whole tree: the message of each place follows the given one. The last is the leaf.

    Each says its place, and what `marked` has for it.
    """
    cipher = open_cipher(conversation)
    Message.objects.bulk_create(
        Message(
            conversation=conversation,
            seq=seq,
            parent_seq=parent,
            role=Role.USER if seq % 2 else Role.ASSISTANT,
            status=Status.COMPLETE,
            token_count=20,
            content_sealed=seal_message(
                cipher, conversation.pk, seq, f"message {seq} {marked.get(seq, '')}"
            ),
        )
        for seq, parent in enumerate(parents, start=1)
    )
    leaf = len(parents)
    Conversation.objects.filter(pk=conversation.pk).update(
        active_leaf=leaf or None, next_seq=leaf + 1
    )


def branch_of(parents: Sequence[int | None]) -> list[int]:
    """Return the branch of such a tree that ends with its last message, oldest first."""
    branch: list[int] = []
    seq: int | None = len(parents) or None
    while seq is not None:
        branch.append(seq)
        seq = parents[seq - 1]
    return branch[::-1]
