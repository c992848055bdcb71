"""What nobody has touched for as long as the operator says is erased, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from conversations import retention
from conversations.models import Conversation, Message
from conversations.retention import expire
from moderation.models import ModerationEvent
from tests.conversations.rows import put_message, queue_generation
from tests.desk.events import BAD, put_event
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db
NOW = timezone.now()
OLD, YOUNG = NOW - timedelta(days=31), NOW - timedelta(days=29)


@pytest.fixture
def person(settings: Settings) -> User:
    settings.RETENTION_DAYS = 30
    return make_person()


def run(*, within_s: float = 60) -> int:
    return expire(now=NOW, within_s=within_s)


def test_what_is_too_old_goes_with_what_was_said(person: User) -> None:
    old = make_conversation(person, updated=OLD, pinned=True)
    put_message(old, 1, "Something")
    young = make_conversation(person, updated=YOUNG, created=OLD)
    assert run() == 1
    assert list(Conversation.objects.all()) == [young]
    assert not Message.objects.exists()


def test_events_go_when_they_are_as_old(person: User) -> None:
    old, young = (put_event(person, text=BAD) for _ in range(2))
    ModerationEvent.objects.filter(pk=old.pk).update(created=OLD)
    assert run() == 1
    assert list(ModerationEvent.objects.values_list("pk", flat=True)) == [young.pk]


def test_a_run_that_erased_something_is_in_the_audit_log(person: User) -> None:
    make_conversation(person, updated=OLD)
    run()
    run()
    entry = AuditEntry.objects.get(action="retention.run")
    assert entry.detail == {"conversations": 1, "events": 0}
    assert entry.subject == f"before:{NOW - timedelta(days=30):%Y-%m-%d}"


def test_without_a_number_of_days_everything_is_kept(person: User, settings: Settings) -> None:
    settings.RETENTION_DAYS = 0
    make_conversation(person, updated=OLD)
    assert run() == 0
    assert Conversation.objects.exists()


def test_one_that_an_answer_is_written_in_stays(
    person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    busy = queue_generation(person).conversation
    Conversation.objects.update(updated=OLD)
    assert run() == 0
    assert list(Conversation.objects.all()) == [busy]


def test_all_go_in_small_batches_and_no_more_than_there_is_time_for(
    person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for _ in range(6):
        make_conversation(person, updated=OLD)
    assert run(within_s=0) == 1
    assert run() == 5
    assert not Conversation.objects.exists()
