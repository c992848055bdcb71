"""What is withdrawn while something is made of it stays away, at whatever point that happens."""

from __future__ import annotations

import asyncio

import pytest
from django.db import connection, transaction

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations.chores import mark_chore
from conversations.contextcache.store import read_raw
from conversations.eventlog import EventLog
from conversations.models import Chore, ChoreKind, Conversation, SearchEntry
from conversations.prompts import load_task
from conversations.queries import try_cipher
from conversations.sealing import open_column
from conversations.search.indexing import due_generations, index_conversation
from conversations.upkeep import tend
from conversations.withdrawing import withdraw_message
from moderation.types import Category
from tests.conversations.conftest import ApiClient
from tests.conversations.meanwhile import PATIENCE_S, before, meanwhile
from tests.conversations.memories import long_conversation, put_summary, told
from tests.conversations.search.rows import put_turn, search
from tests.conversations.talks import Talk, narrow_spec
from tests.conversations.working import running_worker
from tests.factories import make_conversation
from tests.fakes.provider_process import ScriptedProvider
from tests.stores import Valkey

pytestmark = pytest.mark.django_db(transaction=True)
ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one writer at a time"
)
CANARY = "xyzzycanary"
SPEC = narrow_spec(context=4_000)
# With this begins the transaction that writes to the index what was read before.
LOCKING = "FOR NO KEY UPDATE" if connection.vendor == "postgresql" else "BEGIN IMMEDIATE"


async def withdraw(conversation: Conversation, seq: int) -> None:
    assert await withdraw_message(conversation.pk, seq, category=Category.VIOLENCE, by="user:1")


@pytest.mark.usefixtures("event_log")
@pytest.mark.parametrize("whole", [False, True], ids=["the newest turn", "the whole branch"])
async def test_what_is_withdrawn_while_it_is_indexed_is_not_found(user: User, whole: bool) -> None:
    conversation = await db_call(make_conversation, user)
    await db_call(put_turn, conversation, f"apples and {CANARY}", "pears")
    await db_call(conversation.refresh_from_db)
    loop = asyncio.get_running_loop()

    def withdraw_now() -> None:
        asyncio.run_coroutine_threadsafe(withdraw(conversation, 1), loop).result(PATIENCE_S)

    def index() -> None:
        with before(LOCKING, withdraw_now):
            assert index_conversation(conversation.pk, whole=whole)

    await db_call(index)

    def look() -> None:
        assert search(user, "pear")
        assert search(user, CANARY) == []
        kept = SearchEntry.objects.filter(conversation=conversation)
        assert list(kept.values_list("seq", flat=True)) == [2]
        assert not due_generations().exists()

    await db_call(look)


@ON_POSTGRESQL
@pytest.mark.parametrize(
    "statement",
    ['UPDATE "conversations_conversation" SET "title_sealed"', 'DELETE FROM "conversations_chore"'],
    ids=["before it is written", "before it is committed"],
)
async def test_a_title_made_of_what_is_withdrawn_meanwhile_is_not_kept(
    hosted: None,
    api: ApiClient,
    user: User,
    event_log: EventLog,
    provider: ScriptedProvider,
    statement: str,
) -> None:
    place = await api.new_conversation()
    async with running_worker(event_log):
        await api.send(place, f"What is a {CANARY}?")
    conversation = await Conversation.objects.aget(pk=place)
    provider.script(text=f"The nature of a {CANARY}")
    async with meanwhile(statement, lambda: withdraw(conversation, 1)):
        await tend(conversation.pk, ChoreKind.TITLE)

    def look() -> None:
        conversation.refresh_from_db()
        cipher = try_cipher(conversation)
        assert cipher is not None
        assert open_column(cipher, conversation, "title") == ""
        assert search(user, CANARY) == []
        assert not Chore.objects.filter(kind=ChoreKind.TITLE).exists()

    await db_call(look)


@ON_POSTGRESQL
@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE "conversations_conversation" SET "memory_version"',
        'INSERT INTO "conversations_summary"',
        'DELETE FROM "conversations_chore"',
    ],
    ids=["before it is fenced", "before it is written", "before it is committed"],
)
async def test_a_summary_made_of_what_is_withdrawn_meanwhile_is_not_kept(
    hosted: None, user: User, event_log: EventLog, provider: ScriptedProvider, statement: str
) -> None:
    conversation = await db_call(long_conversation, user)
    await db_call(mark_chore, conversation.pk, ChoreKind.SUMMARY)
    provider.script(text=f"They spoke of {CANARY}.")
    async with meanwhile(statement, lambda: withdraw(conversation, 3)):
        await tend(conversation.pk, ChoreKind.SUMMARY)
    assert await db_call(told, conversation) == []
    # It is made again, of what is left.
    assert await Chore.objects.filter(kind=ChoreKind.SUMMARY).aexists()


@ON_POSTGRESQL
@pytest.mark.usefixtures("event_log")
async def test_an_answer_that_ends_during_a_withdrawal_is_in_nobodys_way(user: User) -> None:
    talk = await db_call(Talk, user)
    await db_call(lambda: talk.turn("a question", SPEC, parent=None))
    await db_call(lambda: put_summary(talk.conversation, covers=2, text=CANARY))

    @transaction.atomic
    def end_an_answer() -> None:
        mark_chore(talk.conversation.pk, ChoreKind.SUMMARY)

    async with meanwhile('DELETE FROM "conversations_summary"', lambda: db_call(end_an_answer)):
        await withdraw(talk.conversation, 2)
    assert await db_call(told, talk.conversation) == []
    assert await Chore.objects.acount() == 1


@pytest.mark.usefixtures("event_log")
@pytest.mark.parametrize("is_warm", [False, True], ids=["database", "cache"])
async def test_a_context_that_comes_after_a_withdrawal_does_not_stay(
    user: User, valkey: Valkey, is_warm: bool
) -> None:
    talk = await db_call(Talk, user)
    await db_call(lambda: talk.turn(f"about {CANARY}", SPEC, parent=None))
    assert (await db_call(read_raw, talk.conversation.pk)) is not None
    if not is_warm:
        valkey.flush()
    question = await db_call(lambda: talk.ask("and more", parent=2))
    late = await db_call(load_task, question, SPEC)
    assert CANARY in str(late.prompt)
    await withdraw(talk.conversation, 1)
    await db_call(talk.finish, late, "a late answer")
    assert await db_call(read_raw, talk.conversation.pk) is None
