"""Searching one's own conversations."""

from __future__ import annotations

import pytest

from chatbot.accounts.models import User
from tests.conversations.search.rows import index_all, marked, places, put_turn, search
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_message_is_found_by_another_form_of_its_words(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "Where do the foxes run?", "They were running through Café Größe.")
    index_all()
    assert places(user, "fox runs") == [1]
    assert places(user, "RUNNING cafe") == [2]
    item = search(user, "grosse")[0]
    assert marked(item) == ["Größe"]
    assert item["conversationId"] == str(conversation.pk)
    assert item["match"]["role"] == "assistant"
