"""Conversations and messages as people see them: plain values, opened, ready to encode."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from chatbot.core.crypto import CannotOpen, DataCipher
from conversations.models import Conversation, Generation, Message
from conversations.sealing import open_column, open_comment, open_message, report_unreadable

UNTITLED = "New conversation"
UNAVAILABLE = "Content unavailable"


def view_conversation(conversation: Conversation, cipher: DataCipher | None) -> dict[str, Any]:
    """Return a row of the conversation list."""
    title = UNAVAILABLE
    if cipher is not None:
        try:
            title = open_column(cipher, conversation, "title") or UNTITLED
        except CannotOpen as exc:
            report_unreadable(f"title of {conversation.pk}", exc)
    return {
        "conversationId": str(conversation.pk),
        "title": title,
        "model": conversation.model,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "createdAt": conversation.created.isoformat(),
        "updatedAt": conversation.updated.isoformat(),
    }


def read_system_prompt(conversation: Conversation, cipher: DataCipher | None) -> str | None:
    """Return the conversation's system prompt, or None when it cannot be opened."""
    if cipher is None:
        return None
    try:
        return open_column(cipher, conversation, "system_prompt")
    except CannotOpen as exc:
        report_unreadable(f"system prompt of {conversation.pk}", exc)
        return None


def view_message(
    message: Message, cipher: DataCipher | None, generation: Generation | None
) -> dict[str, Any]:
    """Return a message. What does not open has no content and says so in its status."""
    view: dict[str, Any] = {
        "messageId": str(message.id),
        "seq": message.seq,
        "parentSeq": message.parent_seq,
        "role": message.role,
        "content": None,
        "status": "unavailable",
        "model": message.model or None,
        "routeReason": (generation and generation.route_reason) or None,
        "tokenCount": message.counted_tokens or message.token_count,
        "createdAt": message.created.isoformat(),
        "generationId": str(generation.pk) if generation else None,
        "stopReason": (generation and generation.stop_reason) or None,
        "error": view_error(generation),
        "usage": view_usage(generation),
        "feedback": None,
    }
    if cipher is None:
        return view
    try:
        view["content"] = open_message(cipher, message)
        view["status"] = message.status
        if message.feedback:
            comment = open_comment(cipher, message)
            view["feedback"] = {"rating": message.feedback, "comment": comment}
    except CannotOpen as exc:
        report_unreadable(f"message {message}", exc)
        view["content"] = None
        view["status"] = "unavailable"
    return view


def view_error(generation: Generation | None) -> dict[str, str] | None:
    if generation is None or not generation.error_code:
        return None
    return {"code": generation.error_code, "message": generation.error_message}


def view_usage(generation: Generation | None) -> dict[str, int] | None:
    """Return the tokens that an answer took and their price; None while it is being written."""
    if generation is None or generation.is_active:
        return None
    return {
        "inputTokens": generation.input_tokens,
        "cachedTokens": generation.cached_tokens,
        "outputTokens": generation.output_tokens,
        "costMicros": generation.cost_micros,
    }


def events_url(generation_id: UUID) -> str:
    return f"/api/v1/generations/{generation_id}/events"


def refer_to(generation_id: UUID, answer_id: UUID) -> dict[str, str]:
    """Return what a client needs to follow a generation."""
    return {
        "generationId": str(generation_id),
        "messageId": str(answer_id),
        "eventsUrl": events_url(generation_id),
    }


def view_generation(generation: Generation) -> dict[str, str]:
    return refer_to(generation.pk, generation.answer_id)
