"""What a conversation remembers, as its owner reads, corrects and pins it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction

from chatbot.accounts.models import User
from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.errors import Conflict
from conversations.contextcache.store import forget_contexts
from conversations.events import MAX_FACTS, ChangeMemory
from conversations.history import PageRequest, read_conversation
from conversations.models import Conversation, Summary
from conversations.notes import MAX_SUMMARY_TOKENS, summary_limit, tell_notes
from conversations.notices import notify
from conversations.pins import MAX_PINNED_TOKENS, check_size, read_facts, seal_facts
from conversations.prompts import ContentUnavailable, smallest_room, system_text
from conversations.queries import find_conversation
from conversations.screening import Screened, keep_screened
from conversations.sealing import open_cipher, report_unreadable
from conversations.summaries import (
    MemoryMoved,
    NewSummary,
    add_summary,
    find_current,
    list_summaries,
    open_summary,
    raise_version,
)
from moderation.models import Source

T = TypeVar("T")


class MemoryChanged(Conflict):
    code = "memory_changed"
    sentence = "What is remembered has changed meanwhile. Please look at it again."


class NothingToCorrect(Conflict):
    code = "nothing_to_correct"
    sentence = "Nothing has been summed up on this branch of the conversation yet."


def read_page(user_id: UUID, conversation_id: UUID, request: PageRequest) -> dict[str, Any]:
    """Return a page of a conversation, and up to which message the branch shown is summed up.

    Raises ConversationNotFound or MessageNotFound.
    """
    page = read_conversation(user_id, conversation_id, request)
    current = None
    if page["memoryVersion"]:
        current = _find_current(find_conversation(user_id, conversation_id))
    return {**page, "summarySeq": current.covers_seq if current else None}


def read_memory(user_id: UUID, conversation_id: UUID) -> dict[str, Any]:
    """Return what is remembered on the branch shown, and the version to change it by.

    Raises ConversationNotFound, or ContentUnavailable when it does not open.
    """
    conversation = find_conversation(user_id, conversation_id)
    current = _find_current(conversation)
    try:
        return _view(conversation, open_cipher(conversation), current)
    except CannotOpen as exc:
        report_unreadable(f"what is remembered of {conversation_id}", exc)
        raise ContentUnavailable from exc


def _find_current(conversation: Conversation) -> Summary | None:
    return find_current(conversation, list_summaries(conversation), conversation.active_leaf)


def _view(
    conversation: Conversation, cipher: DataCipher, current: Summary | None
) -> dict[str, Any]:
    return {
        "version": conversation.memory_version,
        "summary": open_summary(cipher, current) if current else None,
        "coversSeq": current.covers_seq if current else None,
        "isCorrected": bool(current and current.is_corrected),
        "updatedAt": current.created.isoformat() if current else None,
        "pinnedFacts": read_facts(conversation, cipher),
        "limits": {
            "summaryTokens": MAX_SUMMARY_TOKENS,
            "pinnedTokens": MAX_PINNED_TOKENS,
            "pinnedFacts": MAX_FACTS,
        },
    }


def export_memory(conversation: Conversation, cipher: DataCipher | None) -> dict[str, Any]:
    """Return all that is remembered, every version of it; what does not open is None."""
    return {
        "pinnedFacts": _try(conversation, lambda: cipher and read_facts(conversation, cipher)),
        "summaries": [
            {
                "version": one.version,
                "coversSeq": one.covers_seq,
                "text": _try(conversation, partial(_open_if, cipher, one)),
                "isCorrected": one.is_corrected,
                "createdAt": one.created.isoformat(),
            }
            for one in list_summaries(conversation)
        ],
    }


def _open_if(cipher: DataCipher | None, summary: Summary) -> str | None:
    return open_summary(cipher, summary) if cipher else None


def _try(conversation: Conversation, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except CannotOpen as exc:
        report_unreadable(f"what is remembered of {conversation.pk}", exc)
        return None


async def change_memory(user: User, conversation_id: UUID, request: ChangeMemory) -> dict[str, Any]:
    """Pin facts, correct the summary of the branch shown, or both; return what is remembered.

    A corrected summary is a new version, which the next one builds on; an empty one forgets.
    Raises ConversationNotFound, MemoryChanged when it is not the version that was read any more,
    NothingToCorrect, MemoryTooLong, ContentUnavailable or MessageRefused; then nothing has changed.
    """

    @transaction.atomic
    def change(screened: Screened) -> dict[str, Any]:
        conversation = find_conversation(user.pk, conversation_id)
        conversation.user = user
        if conversation.memory_version != request.version:
            raise MemoryChanged(detail={"version": conversation.memory_version})
        # It would not be told any more; it need not lie there either.
        transaction.on_commit(lambda: forget_contexts([conversation_id]))
        try:
            view = _change(conversation, open_cipher(conversation), request)
        except MemoryMoved as exc:
            raise MemoryChanged from exc
        except CannotOpen as exc:
            report_unreadable(f"what is remembered of {conversation_id}", exc)
            raise ContentUnavailable from exc
        screened.settle()
        return view

    # Facts are told together; what is harmless in parts may not be so then.
    facts = "\n".join(request.pinned_facts or ())
    texts = [(Source.MEMORY, request.summary), (Source.MEMORY, facts)]
    view = await keep_screened(user, texts, change, conversation_id=conversation_id)
    await notify(user.pk, "conversation.updated", conversationId=str(conversation_id))
    return view


def _change(
    conversation: Conversation, cipher: DataCipher, request: ChangeMemory
) -> dict[str, Any]:
    if request.pinned_facts is not None:
        sealed = seal_facts(conversation, cipher, request.pinned_facts)
        conversation.memory_version = raise_version(
            conversation, conversation.memory_version, pinned_facts_sealed=sealed
        )
        conversation.pinned_facts_sealed = sealed
    if request.summary is not None:
        _correct(conversation, cipher, request.summary.strip())
    return _view(conversation, cipher, _find_current(conversation))


def _correct(conversation: Conversation, cipher: DataCipher, text: str) -> None:
    current = _find_current(conversation)
    if current is None:
        raise NothingToCorrect
    room = smallest_room(conversation.user.plan, system_text(conversation, cipher))
    check_size(tell_notes(text), summary_limit(room))
    new = NewSummary(
        base=conversation.memory_version,
        covers=current.covers_seq,
        text=text,
        is_corrected=True,
    )
    conversation.memory_version = add_summary(conversation, cipher, new)
