"""What is withdrawn is nowhere any more: a canary in it is looked for in every place."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from chatbot.core.db import db_call
from conversations.contextcache.store import read_raw
from conversations.eventlog import EventLog
from conversations.events import Cursor, Event, EventType
from conversations.export import export_person
from conversations.models import (
    Chore,
    Conversation,
    Generation,
    Message,
    SearchEntry,
    State,
    Status,
    Summary,
)
from conversations.notes import first_line
from conversations.prompts import load_task
from conversations.queries import ConversationNotFound, MessageNotFound
from conversations.sealing import open_cipher, open_message, seal_column
from conversations.search.indexing import index_conversation
from conversations.summaries import MemoryMoved, NewSummary, add_summary
from conversations.terminals import HALT_NOTICE, replay_ended
from conversations.withdrawing import events_about, is_readable, withdraw_message
from moderation.models import Action, ModerationEvent, ModerationOutbox, Source
from moderation.types import Category
from tests.conversations.logs import find_key
from tests.conversations.memories import put_summary
from tests.conversations.rows import put_message
from tests.conversations.search.rows import search
from tests.conversations.talks import Talk, narrow_spec
from tests.desk.events import put_event
from tests.factories import make_conversation, make_person

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("valkey", "event_log"),
]
CANARY = "xyzzycanary"
SPEC = narrow_spec(context=4_000)
BY = "user:moderator"


async def withdraw(conversation_id: UUID, seq: int) -> bool:
    return await withdraw_message(conversation_id, seq, category=Category.VIOLENCE, by=BY)


def begin(user: User) -> tuple[Talk, Generation]:
    """Return a talk whose second answer has the canary, kept in every place there is."""
    talk = Talk(user)
    talk.turn("first question", SPEC, parent=None)
    generation = talk.ask("second question", parent=2)
    talk.finish(load_task(generation, SPEC), f"an answer with {CANARY}")
    put_summary(talk.conversation, covers=2, text="before it")
    put_summary(talk.conversation, covers=4, text=f"they spoke of {CANARY}")
    talk.conversation.refresh_from_db()
    # As the next turn does: the cache has what was said, and what is remembered.
    talk.turn("third question", SPEC, parent=4)
    Conversation.objects.filter(pk=talk.conversation.pk).update(active_leaf=talk.last)
    index_conversation(talk.conversation.pk, whole=True)
    return talk, generation


async def exported(user: User) -> str:
    return "".join([part.decode() async for part in export_person(user)])


async def test_a_withdrawn_answer_is_nowhere_any_more(user: User, event_log: EventLog) -> None:
    talk, generation = await db_call(begin, user)
    place = talk.conversation.pk
    key = await db_call(find_key, generation.pk)
    told = Event(Cursor(1, 1), EventType.DELTA, {"text": CANARY})
    await event_log.append(key, told)
    assert await event_log.read(key) == [told]
    assert len(await db_call(search, user, CANARY)) == 1
    assert CANARY in await exported(user)
    assert await db_call(read_raw, place)
    event = await db_call(put_event, user, conversation_id=place, message_seq=4)

    assert await withdraw(place, 4)

    def look() -> str:
        message = Message.objects.get(conversation=place, seq=4)
        assert message.status == Status.HALTED
        assert open_message(open_cipher(talk.conversation), message) == HALT_NOTICE
        assert search(user, CANARY) == []
        assert not SearchEntry.objects.filter(conversation=place, seq=4).exists()
        assert read_raw(place) is None
        kept = Summary.objects.filter(conversation=place).values_list("covers_seq", flat=True)
        assert list(kept) == [2]
        assert Chore.objects.filter(conversation=place, kind="summary").exists()
        ended = Generation.objects.select_related("conversation").get(pk=generation.pk)
        assert (ended.state, ended.error_code) == (State.HALTED, "violence")
        assert CANARY not in str(replay_ended(ended))
        assert ModerationEvent.objects.get().action == Action.WITHDRAWN
        assert ModerationEvent.objects.get().pk == event.pk
        assert not ModerationOutbox.objects.exists()
        return str(load_task(talk.ask("fourth question", parent=6), SPEC).prompt)

    prompt = await db_call(look)
    assert CANARY not in prompt
    assert "third question" in prompt
    assert await event_log.read(key) == []
    assert CANARY not in await exported(user)
    entry = await AuditEntry.objects.aget()
    assert (entry.actor, entry.action) == (BY, "message.withdrawn")
    assert entry.subject == f"message:{place}/4"


async def test_a_context_that_was_read_before_is_not_believed_after(user: User) -> None:
    talk, _ = await db_call(begin, user)
    late = await db_call(load_task, await db_call(talk.answer_again, 5), SPEC)
    assert CANARY in str(late.prompt)
    assert await withdraw(talk.conversation.pk, 4)
    # Its answer comes now, with what its prompt was made of.
    await db_call(talk.finish, late, "late answer")
    question = await db_call(lambda: talk.ask("again", parent=talk.last))
    assert CANARY not in str((await db_call(load_task, question, SPEC)).prompt)


async def test_a_summary_that_was_begun_before_is_refused(user: User) -> None:
    talk, _ = await db_call(begin, user)
    conversation = await Conversation.objects.aget(pk=talk.conversation.pk)
    new = NewSummary(base=conversation.memory_version, covers=6, text=CANARY)
    assert await withdraw(conversation.pk, 4)
    with pytest.raises(MemoryMoved):
        await db_call(add_summary, conversation, open_cipher(conversation), new)


@pytest.mark.parametrize(
    ("seq", "is_own", "is_kept"),
    [(1, False, False), (2, False, False), (3, False, True), (1, True, True)],
)
async def test_a_title_goes_with_what_it_was_made_from(
    user: User, seq: int, is_own: bool, is_kept: bool
) -> None:
    def begin() -> Conversation:
        conversation = make_conversation(user, title_is_own=is_own)
        for number in range(1, 4):
            put_message(conversation, number, f"{CANARY} {number}", parent=number - 1 or None)
        title = seal_column(
            open_cipher(conversation), conversation.pk, "title", first_line(f"{CANARY} 1")
        )
        Conversation.objects.filter(pk=conversation.pk).update(title_sealed=title)
        index_conversation(conversation.pk, whole=True)
        return conversation

    conversation = await db_call(begin)
    assert await withdraw(conversation.pk, seq)
    row = await Conversation.objects.aget(pk=conversation.pk)
    assert (row.title_sealed is not None) == is_kept
    # A message of a person, which no event told of: one is noted.
    noted = await ModerationOutbox.objects.aget()
    assert noted.record["action"] == Action.WITHDRAWN
    assert noted.record["category"] == Category.VIOLENCE
    assert noted.record["source"] == (Source.MESSAGE if seq % 2 else Source.ANSWER)


async def test_once_is_enough_and_what_is_being_written_is_not_withdrawn(user: User) -> None:
    talk = await db_call(Talk, user)
    place = talk.conversation.pk
    await db_call(lambda: talk.ask("a question", parent=None))
    assert await db_call(is_readable, place, 1)
    assert await withdraw(place, 1)
    assert not await db_call(is_readable, place, 1)
    assert not await withdraw(place, 1)
    for seq in (2, 9):
        with pytest.raises(MessageNotFound):
            await withdraw(place, seq)
    with pytest.raises(ConversationNotFound):
        await withdraw(user.pk, 1)
    assert await AuditEntry.objects.acount() == 1


async def test_the_events_of_a_message_are_found_by_an_index(user: User) -> None:
    def look() -> str:
        conversation = make_conversation(user)
        put_event(user, conversation_id=conversation.pk, message_seq=2)
        other = put_event(make_person(), conversation_id=conversation.pk, message_seq=4)
        assert not events_about(conversation, other.message_seq or 0)
        assert events_about(conversation, 2).get().user == user
        return events_about(conversation, 2).explain()

    plan = await db_call(look)
    # PostgreSQL reads a table of a few rows as it is.
    assert connection.vendor == "postgresql" or "moderation_of_user" in plan
