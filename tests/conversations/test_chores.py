"""What is to be done after an answer: marked once, done by one, and never forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from conversations.chores import (
    MAX_TRIES,
    ChoreLost,
    claim_chore,
    finish_chore,
    list_free,
    mark_chore,
    postpone_chore,
)
from conversations.models import Chore, ChoreKind, Conversation
from tests.conversations.memories import hold_of

pytestmark = pytest.mark.django_db(transaction=True)

SUMMARY = ChoreKind.SUMMARY


def lapse() -> None:
    """Let every lease and every pause be over."""
    Chore.objects.update(held_until=timezone.now() - timedelta(seconds=1))


def test_marks_of_one_kind_are_one_chore(conversation: Conversation) -> None:
    for kind in (SUMMARY, SUMMARY, ChoreKind.TITLE):
        mark_chore(conversation.pk, kind)
    assert sorted(kind for _, kind in list_free(10)) == ["summary", "title"]


def test_a_mark_goes_with_the_transaction_that_it_was_made_in(conversation: Conversation) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        mark_chore(conversation.pk, SUMMARY)
        raise RuntimeError
    assert list_free(10) == []


def test_one_of_two_takes_a_chore(conversation: Conversation) -> None:
    hold_of(conversation)
    assert claim_chore(conversation.pk, SUMMARY) is None
    assert list_free(10) == []


def test_a_lease_that_lapsed_is_taken_over_and_fences_who_had_it(
    conversation: Conversation,
) -> None:
    killed = hold_of(conversation)
    lapse()
    other = claim_chore(conversation.pk, SUMMARY)
    assert other is not None
    with pytest.raises(ChoreLost):
        finish_chore(killed)
    postpone_chore(killed)
    assert list_free(10) == []
    finish_chore(other)
    assert not Chore.objects.exists()


def test_a_mark_that_came_meanwhile_is_not_forgotten(conversation: Conversation) -> None:
    hold = hold_of(conversation)
    mark_chore(conversation.pk, SUMMARY)
    finish_chore(hold)
    assert list_free(10) == [(conversation.pk, SUMMARY)]


def test_what_has_more_to_do_is_free_at_once(conversation: Conversation) -> None:
    finish_chore(hold_of(conversation), more=True)
    assert list_free(10) == [(conversation.pk, SUMMARY)]


def test_what_fails_waits_longer_each_time_and_is_given_up(conversation: Conversation) -> None:
    mark_chore(conversation.pk, SUMMARY)
    pauses = []
    for _ in range(MAX_TRIES):
        hold = claim_chore(conversation.pk, SUMMARY)
        assert hold is not None
        postpone_chore(hold)
        assert list_free(10) == []
        row = Chore.objects.first()
        if row is not None:
            assert row.held_until is not None
            pauses.append((row.held_until - timezone.now()).total_seconds())
        lapse()
    assert pauses == sorted(pauses)
    assert len(pauses) == MAX_TRIES - 1
    assert not Chore.objects.exists()


def test_a_mark_that_came_during_the_last_try_is_tried_as_any(conversation: Conversation) -> None:
    hold_of(conversation)
    Chore.objects.update(tries=MAX_TRIES - 1)
    lapse()
    last = claim_chore(conversation.pk, SUMMARY)
    assert last is not None
    mark_chore(conversation.pk, SUMMARY)
    postpone_chore(last)
    lapse()
    again = claim_chore(conversation.pk, SUMMARY)
    assert again is not None
    assert again.tries == 1


def test_chores_go_with_their_conversation(conversation: Conversation) -> None:
    hold = hold_of(conversation)
    conversation.delete()
    assert not Chore.objects.exists()
    with pytest.raises(ChoreLost):
        finish_chore(hold)
