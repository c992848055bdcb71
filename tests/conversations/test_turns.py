"""Turns that meet: whoever comes second looks again, and nobody's message is lost or doubled."""

from __future__ import annotations

import pytest
from django.db.models import F

from chatbot.accounts.models import User
from chatbot.core.errors import Conflict
from conversations import turns
from conversations.branches import Draft
from conversations.events import SendRequest
from conversations.models import Conversation, Generation, Message
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


class Meddler:
    """Drafts a question, and lets somebody else take its place first, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.drafts = 0

    def __call__(self, conversation: Conversation) -> Draft:
        self.drafts += 1
        draft = turns._draft_question(conversation, SendRequest(content="Hello"))
        if self.drafts <= self.times:
            Conversation.objects.filter(pk=conversation.pk).update(next_seq=F("next_seq") + 2)
        return draft


def ask(user: User, conversation: Conversation) -> turns._Ask:
    return turns._ask(user, conversation.pk, None, "one key", "send", "last", "Hello")


def test_a_place_that_was_taken_meanwhile_is_looked_for_again(user: User, models: None) -> None:
    conversation, meddler = make_conversation(user), Meddler(times=2)
    turn = turns._commit_once(ask(user, conversation), meddler)
    assert turn.is_new
    assert meddler.drafts == 3
    assert Message.objects.count() == 2
    assert turns._commit_once(ask(user, conversation), meddler).generation_id == turn.generation_id
    assert Generation.objects.count() == 1


def test_a_place_that_is_always_taken_is_a_conflict_and_keeps_nothing(
    user: User, models: None
) -> None:
    conversation, meddler = make_conversation(user), Meddler(times=100)
    with pytest.raises(Conflict):
        turns._commit_once(ask(user, conversation), meddler)
    assert meddler.drafts == turns.MAX_TRIES
    assert not Message.objects.exists()
