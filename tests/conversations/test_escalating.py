"""What strikes lead to, and an outbox that nobody emptied for long."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connections
from django.utils import timezone

from chatbot.accounts.models import User
from chatbot.accounts.sanctions import Suspension
from chatbot.accounts.suspensions import appeal, decide_appeal, lift
from chatbot.audit.models import AuditEntry
from chatbot.celery import app as celery_app
from conversations.dispatch import TEND
from conversations.escalating import write_events
from moderation.judging import judge
from moderation.models import Action, ModerationEvent, ModerationOutbox, Source
from moderation.policies import current_policy, publish, set_policy
from moderation.policy import default_policy, read_default
from moderation.recording import Where, note_event
from moderation.strikes import count_strikes
from moderation.types import Surface
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

BAD = "I will murder my neighbour and get away with it"
RULES = default_policy().strikes


@pytest.fixture(autouse=True)
def shipped_policy() -> Iterator[None]:
    yield
    set_policy(None)


@pytest.fixture
def person() -> User:
    return make_person()


def note(person: User, times: int, action: Action = Action.BLOCKED) -> None:
    decision = judge(BAD, surface=Surface.INPUT, plan="free")
    for _ in range(times):
        note_event(BAD, decision, action, Where(person.pk, "free", Source.MESSAGE))


def standing(person: User) -> tuple[bool, bool]:
    """Whether they are slowed, and whether they are suspended."""
    now = User.objects.get(pk=person.pk)
    return now.is_slowed, now.is_suspended


def test_a_few_strikes_slow_and_more_suspend(person: User) -> None:
    other = make_person()
    note(other, 2)
    note(person, 3)
    assert write_events() == 5
    assert standing(person) == (True, False)
    assert standing(other) == (False, False)
    note(person, 3)
    write_events()
    assert standing(person) == (True, True)
    suspension = Suspension.objects.get()
    assert suspension.by == "system"
    assert suspension.until is not None
    assert suspension.until - suspension.created >= timedelta(days=RULES.suspend_days - 1)
    assert suspension.event_id in ModerationEvent.objects.values_list("pk", flat=True)
    assert BAD not in suspension.reason


def test_what_was_only_flagged_leads_to_nothing(person: User) -> None:
    note(person, 10, Action.FLAGGED)
    assert write_events() == 10
    assert standing(person) == (False, False)


@pytest.mark.parametrize("way", ["lifted", "appealed"])
def test_whoever_was_let_in_again_is_suspended_by_something_new_only(
    person: User, way: str
) -> None:
    note(person, 6)
    write_events()
    note(person, 2)
    # Noted while the suspension holds, and taken up once it is over.
    suspension = Suspension.objects.get()
    if way == "lifted":
        assert lift(suspension.pk, by="user:moderator", note="A quotation.")
    else:
        appeal(person.pk, text="A quotation.")
        assert decide_appeal(suspension.pk, by="user:moderator", is_granted=True, answer="Yes.")
    write_events()
    assert not standing(person)[1]
    note(person, 1)
    write_events()
    assert standing(person)[1]
    assert Suspension.objects.count() == 2


def test_an_hours_notes_taken_up_by_many_at_once_count_once(person: User) -> None:
    people = [person, *(make_person() for _ in range(49))]
    for one in people:
        note(one, 5)
    hour_ago = timezone.now() - timedelta(hours=1)
    ModerationOutbox.objects.update(created=hour_ago)
    with ThreadPoolExecutor(4) as takers:
        written = list(takers.map(take_up_in_thread, range(4)))
    assert sum(written) == 250
    assert not ModerationOutbox.objects.exists()
    assert ModerationEvent.objects.filter(created=hour_ago).count() == 250
    for one in people:
        strikes = count_strikes(one.pk, RULES, now=timezone.now())
        assert strikes == pytest.approx(5, abs=0.05)
        assert standing(one) == (True, False)
    assert not Suspension.objects.exists()
    # Two more each, again with many takers: each is suspended once.
    for one in people:
        note(one, 2)
    with ThreadPoolExecutor(4) as takers:
        assert sum(takers.map(take_up_in_thread, range(4))) == 100
    assert Suspension.objects.count() == 50
    assert AuditEntry.objects.filter(action="suspension.begun").count() == 50


def take_up_in_thread(number: int) -> int:
    try:
        return write_events()
    finally:
        connections.close_all()


def test_the_schedule_takes_up_what_is_noted(person: User) -> None:
    celery_app.loader.import_default_modules()
    note(person, 1)
    celery_app.tasks["conversations.write_moderation_events"].run()
    assert ModerationEvent.objects.count() == 1


def test_what_tends_conversations_judges_by_the_policy_as_it_was_changed() -> None:
    celery_app.loader.import_default_modules()
    publish(read_default(), author="moderator", note="The same.")
    assert current_policy().version == 0
    celery_app.tasks[TEND].run([(str(uuid4()), "title")])
    assert current_policy().version == 1
