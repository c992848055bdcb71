"""Turns that meet: whoever comes second looks again, and nobody's message is lost or doubled."""

from __future__ import annotations

import asyncio
import threading

import pytest
from channels.layers import get_channel_layer
from django.db.models import F

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.errors import Conflict
from chatbot.core.tasks import spawn
from conversations import turns
from conversations.branches import Draft
from conversations.events import SendRequest
from conversations.models import Conversation, Generation, Message, Role
from conversations.notices import group_of
from moderation.models import ModerationOutbox
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)

WITHIN_S = 20.0


class Meddler:
    """Drafts a question, and lets somebody else take its place first, so many times."""

    def __init__(self, times: int, content: str = "Hello") -> None:
        self.times = times
        self.content = content
        self.drafts = 0

    def __call__(self, conversation: Conversation) -> Draft:
        self.drafts += 1
        draft = turns._draft_question(conversation, SendRequest(content=self.content))
        if self.drafts <= self.times:
            Conversation.objects.filter(pk=conversation.pk).update(next_seq=F("next_seq") + 2)
        return draft


def ask(user: User, conversation: Conversation) -> turns._Ask:
    return turns._ask(user, conversation.pk, None, "one key", "send", "last", "Hello")


async def test_a_place_that_was_taken_meanwhile_is_looked_for_again(
    user: User, models: None
) -> None:
    conversation, meddler = await db_call(make_conversation, user), Meddler(times=2)
    turn = await turns._start(ask(user, conversation), meddler)
    assert turn.is_new
    assert meddler.drafts == 3
    assert await db_call(Message.objects.count) == 2
    again = await turns._start(ask(user, conversation), meddler)
    assert again.generation_id == turn.generation_id
    assert await db_call(Generation.objects.count) == 1


async def test_what_is_flagged_is_noted_once_however_often_its_commit_is_tried(
    user: User, models: None
) -> None:
    conversation = await db_call(make_conversation, user)
    meddler = Meddler(times=2, content="Where can I buy stolen credit cards?")
    turn = await turns._start(ask(user, conversation), meddler)
    assert meddler.drafts == 3
    note = await db_call(ModerationOutbox.objects.get)
    assert note.record["generation_id"] == str(turn.generation_id)
    message = await db_call(Message.objects.get, role=Role.USER)
    assert note.record["message_seq"] == message.seq


async def test_a_place_that_is_always_taken_is_a_conflict_and_keeps_nothing(
    user: User, models: None
) -> None:
    conversation, meddler = await db_call(make_conversation, user), Meddler(times=100)
    with pytest.raises(Conflict):
        await turns._start(ask(user, conversation), meddler)
    assert meddler.drafts == turns.MAX_TRIES
    assert not await db_call(Message.objects.exists)


async def test_other_devices_hear_of_a_turn_whose_sender_left_while_it_was_committed(
    user: User, models: None
) -> None:
    layer = get_channel_layer()
    assert layer is not None
    other_device = await layer.new_channel()
    await layer.group_add(group_of(user.pk), other_device)
    conversation = await db_call(make_conversation, user)
    has_begun, has_left = threading.Event(), threading.Event()

    def draft(conversation: Conversation) -> Draft:
        has_begun.set()
        assert has_left.wait(WITHIN_S)
        return turns._draft_question(conversation, SendRequest(content="Hello"))

    sending = spawn(turns._start(ask(user, conversation), draft), name="sender")
    assert await asyncio.to_thread(has_begun.wait, WITHIN_S)
    sending.cancel()
    await asyncio.wait([sending])
    has_left.set()
    async with asyncio.timeout(WITHIN_S):
        heard = await layer.receive(other_device)
    assert heard["frame"]["type"] == "generation.started"
    generation = await db_call(Generation.objects.get)
    assert heard["frame"]["generationId"] == str(generation.pk)
