"""What conversations are called after their first answer, and whose title stays."""

from __future__ import annotations

from typing import Any

import pytest

from chatbot.accounts.models import LedgerEntry, User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.eventlog import EventLog
from conversations.models import Chore, ChoreKind, Conversation
from conversations.upkeep import tend
from conversations.worker import GenerationWorker
from moderation.models import ModerationOutbox
from tests.conversations.conftest import ApiClient
from tests.conversations.working import running_worker
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "My bees fly south in winter, what shall I do?"


@pytest.fixture
async def answered(
    hosted: None, api: ApiClient, event_log: EventLog, provider: ScriptedProvider
) -> str:
    """A conversation whose first question was just answered."""
    conversation = await api.new_conversation()
    async with running_worker(event_log):
        await api.send(conversation, QUESTION)
    return conversation


async def name(conversation: str) -> bool:
    found = await db_call(Conversation.objects.get, pk=conversation)
    return await tend(found.pk, ChoreKind.TITLE)


async def title_of(api: ApiClient, conversation: str) -> str:
    return str((await api.read(conversation))["title"])


async def test_the_first_line_is_the_title_until_a_model_wrote_one(
    answered: str, api: ApiClient, user: User, provider: ScriptedProvider
) -> None:
    assert await title_of(api, answered) == QUESTION
    provider.script(text='"Bees in winter."')
    assert await name(answered)
    assert await title_of(api, answered) == "Bees in winter"
    # It is found by its words, without waiting for the next look.
    found = (await api.call("get", "/conversations?q=winter")).json()["items"]
    assert answered in [one["conversationId"] for one in found]
    entry = await db_call(LedgerEntry.objects.get, purpose="title")
    assert entry.user_id == user.pk
    assert not await db_call(Chore.objects.exists)


async def test_a_title_that_is_not_to_be_shown_is_not_kept_but_noted(
    answered: str, api: ApiClient, user: User, provider: ScriptedProvider
) -> None:
    provider.script(text="Exterminate all the immigrants")
    assert await name(answered)
    assert await title_of(api, answered) == QUESTION
    note = await db_call(ModerationOutbox.objects.get, record__source="title")
    assert (note.user_id, note.record["conversation_id"]) == (user.pk, answered)
    assert (note.record["source"], note.record["action"]) == ("title", "halted")
    assert (await db_call(LedgerEntry.objects.get, purpose="title")).user_id == user.pk


async def test_a_title_that_a_person_wrote_is_never_replaced(
    answered: str, api: ApiClient, provider: ScriptedProvider
) -> None:
    # Even the same words, if they wrote them.
    await api.call("patch", f"/conversations/{answered}", {"title": QUESTION})
    provider.script(text="Bees in winter")
    await name(answered)
    assert await title_of(api, answered) == QUESTION
    assert len(provider.requests()) == 1


async def test_a_title_written_while_the_model_looks_for_one_stays(
    answered: str, api: ApiClient, provider: ScriptedProvider
) -> None:
    provider.script(text="Bees in winter", hold_after=1)
    task = spawn(name(answered), name="title")
    await api.call("patch", f"/conversations/{answered}", {"title": "Mine"})
    provider.release()
    await task
    assert await title_of(api, answered) == "Mine"


@pytest.mark.parametrize("said", [{"status": 400}, {"text": "word " * 50}])
async def test_where_no_title_comes_of_it_the_first_line_stays(
    answered: str, api: ApiClient, provider: ScriptedProvider, said: dict[str, Any]
) -> None:
    provider.script(**said)
    await name(answered)
    assert await title_of(api, answered) == QUESTION


async def test_a_second_answer_asks_for_no_title(
    answered: str, api: ApiClient, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(text="Bees in winter")
    await name(answered)
    async with running_worker(event_log):
        await api.send(answered, "And in summer?")
    assert not await db_call(Chore.objects.exists)


async def test_a_model_too_small_for_titles_is_not_asked_for_one(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    await api.send(conversation, QUESTION)
    assert not await db_call(Chore.objects.exists)
    assert await title_of(api, conversation) == QUESTION
