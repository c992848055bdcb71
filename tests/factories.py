"""Rows that tests start from; each call makes new ones."""

from __future__ import annotations

import itertools
from typing import Any

from chatbot.accounts.models import User
from conversations.models import Conversation
from conversations.sealing import new_conversation_key, open_cipher, seal_column

_numbers = itertools.count(1)


def make_person(**fields: Any) -> User:
    fields.setdefault("email", f"person{next(_numbers)}@example.org")
    password = fields.pop("password", "correct horse battery")
    return User.objects.create_user(password=password, **fields)


def make_conversation(user: User, *, title: str = "", **fields: Any) -> Conversation:
    conversation = Conversation(user=user, **fields)
    conversation.wrapped_key = new_conversation_key(conversation.pk)
    if title:
        cipher = open_cipher(conversation)
        conversation.title_sealed = seal_column(cipher, conversation.pk, "title", title)
    conversation.save(force_insert=True)
    return conversation
