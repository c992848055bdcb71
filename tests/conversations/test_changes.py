"""What is changed is kept sealed; what is refused changes nothing."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.errors import ChatError
from conversations.changes import (
    change_conversation,
    create_conversation,
    delete_conversation,
    give_feedback,
)
from conversations.dispatch import Bell, hang_bell, remove_bell
from conversations.eventlog import EventLog, get_event_log
from conversations.eventlog.redis import RedisEventLog
from conversations.events import (
    ChangeConversation,
    CreateConversation,
    Cursor,
    Event,
    EventType,
    GiveFeedback,
)
from conversations.models import Conversation, Generation, Message
from conversations.prompts import ContentUnavailable
from conversations.queries import ConversationNotFound, MessageNotFound
from tests.conversations.logs import key_of
from tests.conversations.rows import put_message, queue_generation
from tests.factories import make_conversation, make_person
from tests.stores import Valkey

pytestmark = pytest.mark.django_db(transaction=True)


async def kept(conversation_id: UUID) -> Conversation:
    return await db_call(lambda: Conversation.objects.get(pk=conversation_id))


async def test_texts_are_kept_sealed(user: User, models: None) -> None:
    request = CreateConversation.model_validate(
        {"title": "  A private title ", "systemPrompt": "A private prompt"}
    )
    view, _ = await create_conversation(user, request)
    assert (view["title"], view["systemPrompt"]) == ("A private title", "A private prompt")
    row = await kept(UUID(view["conversationId"]))
    for sealed in (row.title_sealed, row.system_prompt_sealed):
        assert sealed
        assert b"private" not in sealed


async def test_an_unknown_model_makes_no_conversation(user: User, models: None) -> None:
    with pytest.raises(ChatError) as refused:
        await create_conversation(user, CreateConversation(model="no-such-model"))
    assert refused.value.code == "unknown_model"
    assert not await db_call(Conversation.objects.exists)


async def test_what_is_not_named_stays_and_what_is_empty_is_emptied(
    user: User, models: None
) -> None:
    request = CreateConversation.model_validate(
        {"title": "Title", "systemPrompt": "Prompt", "model": "smollm2-135m"}
    )
    view, _ = await create_conversation(user, request)
    identity = UUID(view["conversationId"])
    assert await change_conversation(user, identity, ChangeConversation()) == view
    changed = await change_conversation(
        user,
        identity,
        ChangeConversation.model_validate({"systemPrompt": " ", "pinned": True, "model": "auto"}),
    )
    assert changed == view | {"systemPrompt": "", "pinned": True, "model": "auto"}
    assert (await kept(identity)).system_prompt_sealed is None


async def test_an_unknown_model_changes_nothing(user: User, models: None) -> None:
    conversation = await db_call(lambda: make_conversation(user, title="Title"))
    request = ChangeConversation(title="Other", pinned=True, model="no-such-model")
    with pytest.raises(ChatError):
        await change_conversation(user, conversation.pk, request)
    row = await kept(conversation.pk)
    assert (bytes(row.title_sealed or b""), row.pinned) == (conversation.title_sealed, False)


async def test_a_conversation_that_does_not_open_is_not_written_over(
    user: User, models: None
) -> None:
    conversation = await db_call(lambda: make_conversation(user, title="Title"))
    await db_call(lambda: put_message(conversation, 2, "An answer"))
    rows = Conversation.objects.filter(pk=conversation.pk)
    await db_call(lambda: rows.update(wrapped_key=b"lost"))
    with pytest.raises(ContentUnavailable):
        await change_conversation(user, conversation.pk, ChangeConversation(title="Other"))
    with pytest.raises(ContentUnavailable):
        await give_feedback(user, conversation.pk, 2, GiveFeedback(rating="up"))
    row = await kept(conversation.pk)
    assert row.title_sealed == conversation.title_sealed
    assert (await db_call(Message.objects.get)).feedback == ""


async def test_deleting_stops_what_is_written_and_forgets_what_was_logged(
    user: User, event_log: EventLog
) -> None:
    generation = await db_call(queue_generation, user)
    key = key_of(generation)
    await event_log.append(key, Event(Cursor(0, 1), EventType.QUEUED, {"position": 1}))
    stopped: asyncio.Queue[UUID] = asyncio.Queue()
    bell = Bell(on_work=lambda: None, on_stop=stopped.put_nowait)
    hang_bell(bell)
    try:
        await delete_conversation(user, generation.conversation_id)
        assert await asyncio.wait_for(stopped.get(), 10) == generation.pk
    finally:
        remove_bell(bell)
    assert not await event_log.read(key)
    for model in (Conversation, Message, Generation):
        assert not await db_call(model.objects.exists)


async def test_what_is_deleted_is_deleted_also_while_its_logs_are_away(
    user: User, redis_log: RedisEventLog, valkey: Valkey
) -> None:
    generation = await db_call(queue_generation, user)
    get_event_log.cache_clear()
    valkey.kill9()
    try:
        await delete_conversation(user, generation.conversation_id)
    finally:
        await get_event_log().aclose()
        get_event_log.cache_clear()
    assert not await db_call(Conversation.objects.exists)


async def test_feedback_is_kept_sealed_and_goes_with_its_rating(user: User) -> None:
    conversation = await db_call(make_conversation, user)
    await db_call(lambda: put_message(conversation, 2, "An answer"))
    request = GiveFeedback(rating="down", comment="A private remark")
    await give_feedback(user, conversation.pk, 2, request)
    message = await db_call(Message.objects.get)
    assert message.feedback == "down"
    assert b"private" not in (message.feedback_comment_sealed or b"")
    await give_feedback(user, conversation.pk, 2, GiveFeedback(rating=None))
    message = await db_call(Message.objects.get)
    assert (message.feedback, message.feedback_comment_sealed) == ("", None)


async def test_nothing_of_others_is_changed(user: User) -> None:
    conversation = await db_call(make_conversation, user)
    await db_call(lambda: put_message(conversation, 2, "An answer"))
    other = await db_call(make_person)
    with pytest.raises(ConversationNotFound):
        await change_conversation(other, conversation.pk, ChangeConversation(pinned=True))
    with pytest.raises(ConversationNotFound):
        await delete_conversation(other, conversation.pk)
    with pytest.raises(ConversationNotFound):
        await give_feedback(other, conversation.pk, 2, GiveFeedback(rating="up"))
    with pytest.raises(MessageNotFound):
        await give_feedback(user, conversation.pk, 3, GiveFeedback(rating="up"))
    with pytest.raises(ConversationNotFound):
        await delete_conversation(user, uuid4())
    assert not (await kept(conversation.pk)).pinned
