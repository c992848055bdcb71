"""Turns and searches of tests."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from chatbot.accounts.models import User
from conversations.models import Conversation, Generation, State
from conversations.search.finding import search_conversations
from conversations.search.indexing import index_due
from tests.conversations.rows import put_generation, put_message


def put_turn(
    conversation: Conversation, question: str, answer: str = "Yes.", *, parent: int | None = None
) -> Generation:
    """Write a question and its answer, which has ended; `parent` is where an edit follows on."""
    conversation.refresh_from_db()
    seq = conversation.next_seq
    put_message(
        conversation, seq, question, parent=conversation.active_leaf if parent is None else parent
    )
    written = put_message(conversation, seq + 1, answer, parent=seq, role="assistant")
    return put_generation(conversation, written, state=State.COMPLETED, finished=timezone.now())


def index_all() -> None:
    """Index what is due, as the periodic task does."""
    index_due(within_s=30)


def search(user: User, text: str, **options: Any) -> list[dict[str, Any]]:
    """Return the items of the first page."""
    found = search_conversations(user, text, **({"cursor": None, "limit": 30} | options))
    items: list[dict[str, Any]] = found["items"]
    return items


def places(user: User, text: str) -> list[int | None]:
    """Return the places of the messages found; None stands for a title."""
    return [item["match"]["seq"] for item in search(user, text)]


def marked(item: dict[str, Any]) -> list[str]:
    return [part["text"] for part in item["match"]["snippet"] if part["isMatch"]]
