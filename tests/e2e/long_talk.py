"""A conversation too long to be had in a test, written into the database of a running server."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from chatbot.accounts.models import User
from conversations.search.indexing import index_conversation
from tests.conversations.rows import put_branches
from tests.factories import make_conversation
from tests.live import ServeProcess

# What message 12 alone has, to be looked for.
NAME = "quokka"


def write(email: str, messages: int) -> None:
    """Write a conversation without edits, "message 1", "message 2" and so on, and index it."""
    person = User.objects.get(email=email)
    conversation = make_conversation(person, title="A long talk")
    put_branches(conversation, [None, *range(1, messages)], marked={12: NAME})
    index_conversation(conversation.pk, whole=True)


def write_at(server: ServeProcess, email: str, *, messages: int) -> None:
    code = f"from tests.e2e.long_talk import write; write({email!r}, {messages})"
    server.manage("shell", "-c", code)


def list_many(email: str) -> None:
    """Write 100 conversations and one that is older than all of them, and pinned."""
    person = User.objects.get(email=email)
    now = timezone.now()
    for number in range(100):
        updated = now - timedelta(minutes=number)
        make_conversation(person, title=f"Talk {number}", updated=updated)
    long_ago = now - timedelta(days=900)
    make_conversation(person, title="Pinned long ago", pinned=True, updated=long_ago)
