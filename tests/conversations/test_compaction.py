"""Summaries that a model writes: what it is told, what is kept of it, and who pays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chatbot.accounts.budgets import read_budget
from chatbot.accounts.models import LedgerEntry, User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.chores import ChoreLost, claim_chore, mark_chore
from conversations.compaction import sum_up
from conversations.models import Chore, ChoreKind, Conversation, Message, Summary
from conversations.prompts import load_task
from conversations.summaries import MemoryMoved, find_current, list_summaries
from conversations.upkeep import tend
from llm.catalog import ModelSpec
from llm.conf import get_registry
from moderation.models import ModerationOutbox
from tests.conversations.memories import (
    NARROW,
    WRITER,
    extend,
    hold_of,
    long_conversation,
    put_summary,
    told,
    until_asked,
)
from tests.conversations.rows import put_generation, put_message
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)

SUMMARY = ChoreKind.SUMMARY


@pytest.fixture
async def talk(hosted: None, user: User) -> Conversation:
    return await db_call(long_conversation, user)


async def tend_summary(conversation: Conversation) -> bool:
    await db_call(mark_chore, conversation.pk, SUMMARY)
    return await tend(conversation.pk, SUMMARY)


def asked(provider: ScriptedProvider) -> list[str]:
    """Return what the writer was asked, without the instructions."""
    bodies = [one["body"] for one in provider.requests()]
    return [str(body["messages"][0]["content"]) for body in bodies]


async def test_the_oldest_turns_are_summed_up_and_the_newest_stay(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    provider.script(text="Born in 1901.\nBorn in 1903.")
    assert await tend_summary(talk)
    assert await db_call(told, talk) == [(6, "Born in 1901.\nBorn in 1903.")]
    (question,) = asked(provider)
    assert "I was born in 1905." in question
    assert "1907" not in question
    assert not await db_call(Chore.objects.exists)


async def test_the_next_summary_is_made_of_the_last_one_and_the_turns_since(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    provider.script({"text": "Born in 1901."}, text="All of it.")
    await tend_summary(talk)
    await db_call(extend, talk, 13, 18)
    await tend_summary(talk)
    first, second = asked(provider)
    assert "1901" in first
    assert "Born in 1901." in second
    assert "I was born in 1901." not in second
    assert "I was born in 1907." in second
    assert [covers for covers, _ in await db_call(told, talk)] == [6, 12]


async def test_a_summary_that_is_not_to_be_shown_is_extracted_instead(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    provider.script(text="Born in 1901.\nThey want to exterminate all the immigrants.")
    assert await tend_summary(talk)
    ((covers, notes),) = await db_call(told, talk)
    assert covers == 6
    assert "I was born in 1905." in notes
    assert "immigrants" not in notes
    assert (await db_call(Summary.objects.get)).model == ""
    note = await db_call(ModerationOutbox.objects.get)
    assert (note.record["source"], note.record["action"]) == ("summary", "halted")
    assert await db_call(LedgerEntry.objects.count) == 1


async def test_nothing_is_asked_before_enough_has_been_said(
    hosted: None, user: User, provider: ScriptedProvider
) -> None:
    short = await db_call(long_conversation, user, messages=6)
    assert await tend_summary(short)
    assert provider.requests() == []
    assert await db_call(told, short) == []


async def test_running_twice_leaves_one_summary_and_one_bill(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    await tend_summary(talk)
    await tend_summary(talk)
    assert len(await db_call(told, talk)) == 1
    assert await db_call(LedgerEntry.objects.count) == 1


async def test_of_two_at_once_one_works(talk: Conversation, provider: ScriptedProvider) -> None:
    provider.script(text="One two", hold_after=1)
    await db_call(mark_chore, talk.pk, SUMMARY)
    first = spawn(tend(talk.pk, SUMMARY), name="first")
    await until_asked(provider)
    assert not await tend(talk.pk, SUMMARY)
    provider.release()
    assert await first
    assert len(await db_call(told, talk)) == 1


async def test_who_was_taken_for_dead_leaves_nothing_but_pays(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    provider.script(text="One two", hold_after=1)
    hold = await db_call(hold_of, talk)
    slow = spawn(sum_up(hold), name="slow")
    await until_asked(provider)
    lapsed = timezone.now() - timedelta(seconds=1)
    await db_call(Chore.objects.update, held_until=lapsed)
    other = await db_call(claim_chore, talk.pk, SUMMARY)
    assert other is not None
    provider.script(text="The others' notes.")
    await sum_up(other)
    provider.release()
    with pytest.raises((ChoreLost, MemoryMoved)):
        await slow
    assert await db_call(told, talk) == [(6, "The others' notes.")]
    entries = await db_call(lambda: list(LedgerEntry.objects.values_list("source", flat=True)))
    assert sorted(entries) == sorted([hold.id, other.id])


async def test_a_summary_is_charged_to_the_persons_month(
    talk: Conversation, user: User, provider: ScriptedProvider
) -> None:
    provider.script(text="Notes.", input_tokens=900)
    await tend_summary(talk)
    entry = await db_call(LedgerEntry.objects.get)
    assert (entry.purpose, entry.model, entry.is_metered) == ("summary", WRITER, True)
    spent = (await db_call(read_budget, user, now=timezone.now())).spent
    assert spent == entry.tokens > 900
    kept = await db_call(Summary.objects.get)
    assert kept.cost_micros == entry.cost_micros > 0
    assert kept.model == WRITER


async def test_without_budget_there_is_no_summary(
    talk: Conversation, user: User, provider: ScriptedProvider
) -> None:
    user.monthly_token_budget = 100
    await db_call(user.save)
    await tend_summary(talk)
    assert provider.requests() == []
    assert await db_call(told, talk) == []


async def test_when_the_model_fails_the_conversation_goes_on_and_it_is_tried_again(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    provider.script(status=400)
    assert not await tend_summary(talk)
    assert await db_call(told, talk) == []
    chore = await db_call(Chore.objects.get)
    assert chore.tries == 1
    assert chore.held_until is not None
    provider.script(text="Notes.")
    await db_call(Chore.objects.update, held_until=None)
    assert await tend(talk.pk, SUMMARY)
    assert len(await db_call(told, talk)) == 1


async def test_a_conversation_with_a_model_of_this_machine_is_told_to_no_other(
    hosted: None, user: User, provider: ScriptedProvider
) -> None:
    talk = await db_call(long_conversation, user)
    await db_call(Conversation.objects.update, model="smollm2-135m")
    await tend_summary(talk)
    assert provider.requests() == []
    ((_, notes),) = await db_call(told, talk)
    assert notes.splitlines()[0] == "I was born in 1901."


async def test_a_model_too_small_for_notes_is_not_asked_for_them(
    models: None, user: User, provider: ScriptedProvider
) -> None:
    talk = await db_call(long_conversation, user, messages=12, tokens=800)
    await tend_summary(talk)
    assert provider.requests() == []
    ((covers, notes),) = await db_call(told, talk)
    assert notes.splitlines() == [f"I was born in {1900 + seq}." for seq in range(1, covers, 2)]
    assert not await db_call(LedgerEntry.objects.exists)


async def test_what_was_corrected_is_what_the_next_summary_builds_on(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    await db_call(put_summary, talk, 6, "Born in 1801.")
    await db_call(put_summary, talk, 6, "Born in 1999.", is_corrected=True)
    await db_call(extend, talk, 13, 18)
    await tend_summary(talk)
    (question,) = asked(provider)
    assert "Born in 1999." in question
    assert "1801" not in question


async def test_a_correction_made_meanwhile_stands(
    talk: Conversation, provider: ScriptedProvider
) -> None:
    await db_call(put_summary, talk, 2, "Old.")
    provider.script(text="One two", hold_after=1)
    work = spawn(tend_summary(talk), name="summary")
    await until_asked(provider)
    await db_call(put_summary, talk, 2, "Mine.", is_corrected=True)
    provider.release()
    assert not await work
    assert (await db_call(told, talk))[-1] == (2, "Mine.")
    assert await db_call(LedgerEntry.objects.count) == 1


def spec() -> ModelSpec:
    return get_registry().resolve(NARROW)


def ask(conversation: Conversation, parent: int, seq: int) -> Any:
    """Return the task of a new question after a message."""
    conversation.refresh_from_db()
    put_message(conversation, seq, "And now?", parent=parent, role="user")
    answer = Message.objects.create(
        conversation=conversation, seq=seq + 1, parent_seq=seq, role="assistant", status="pending"
    )
    return load_task(put_generation(conversation, answer), spec())


async def test_a_prompt_tells_the_summary_in_place_of_the_turns_that_do_not_fit(
    talk: Conversation,
) -> None:
    await db_call(extend, talk, 13, 14)
    await db_call(put_summary, talk, 6, "Born in 1901.")
    task = await db_call(ask, talk, 14, 15)
    assert "Born in 1901." in task.prompt.memory
    assert task.prompt.turns[0].text == "I was born in 1907."


async def test_an_edit_below_what_is_summed_up_goes_back_to_the_version_before(
    talk: Conversation,
) -> None:
    await db_call(put_summary, talk, 4, "Up to four.")
    await db_call(put_summary, talk, 10, "Up to ten.")
    conversation = talk
    await db_call(extend, conversation, 13, 14)

    def branch_off() -> Any:
        # Another message five, long enough that not all of it fits.
        put_message(conversation, 15, "Other.", parent=4, token_count=1_000, role="user")
        put_message(conversation, 16, "Yes.", parent=15, token_count=1_000, role="assistant")
        return ask(conversation, 16, 17)

    task = await db_call(branch_off)
    assert "Up to four." in task.prompt.memory
    assert [turn.text for turn in task.prompt.turns] == ["Other.", "Yes.", "And now?"]


async def test_a_message_that_is_gone_takes_the_summaries_that_end_with_it(
    talk: Conversation,
) -> None:
    await db_call(put_summary, talk, 6, "Up to six.")
    await db_call(Message.objects.filter(conversation=talk, seq=6).delete)
    await db_call(talk.refresh_from_db)
    found = await db_call(lambda: find_current(talk, list_summaries(talk), 12))
    assert found is None


async def test_a_summary_that_does_not_open_is_not_told(talk: Conversation) -> None:
    await db_call(put_summary, talk, 6, "Born in 1901.")
    await db_call(Summary.objects.update, text_sealed=b"\x01damaged")
    task = await db_call(ask, talk, 12, 13)
    assert task.prompt.memory == ""


async def test_a_summary_cannot_be_put_into_another_version(talk: Conversation) -> None:
    await db_call(put_summary, talk, 4, "Up to four.")
    await db_call(put_summary, talk, 6, "Up to six.")

    def swap() -> None:
        rows = Summary.objects.filter(conversation=talk)
        older = rows.get(version=1)
        rows.filter(version=2).update(text_sealed=older.text_sealed)

    await db_call(swap)
    task = await db_call(ask, talk, 12, 13)
    assert "six" not in task.prompt.memory


async def test_a_task_says_how_long_an_answer_makes_a_summary_due(hosted: None, user: User) -> None:
    talk = await db_call(long_conversation, user, messages=8)
    task = await db_call(ask, talk, 8, 9)
    # A window of 3,000 less an answer of 500, three quarters of it, less what was said.
    assert 1_875 - 1_620 - 20 <= task.until_summary <= 1_875 - 1_620
    assert not task.is_first
