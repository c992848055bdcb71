from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from moderation.errors import BadPolicy
from moderation.excerpts import LONGEST_EXCERPT, cut_excerpt
from moderation.judging import judge
from moderation.models import Action, ModerationEvent, ModerationOutbox, Source, State, Verdict
from moderation.policies import (
    current_policy,
    follow_policy,
    publish,
    read_policy,
    set_policy,
)
from moderation.policy import default_policy, read_default
from moderation.recording import Where, note_event, read_excerpt, read_note, seal_note
from moderation.strikes import count_strikes
from moderation.taking import take_up, weigh_severity
from moderation.types import Category, Hit, Span, Surface
from tests.conversations.test_overrides import until
from tests.factories import make_person

BAD = "I will murder my neighbour and get away with it"


@pytest.fixture
def person() -> User:
    return make_person()


@pytest.fixture(autouse=True)
def shipped_policy() -> Iterator[None]:
    yield
    set_policy(None)


def note(person: User, text: str = BAD, action: Action = Action.BLOCKED) -> None:
    decision = judge(text, surface=Surface.INPUT, plan="free")
    note_event(text, decision, action, Where(person.pk, "free", Source.MESSAGE))


@pytest.mark.django_db
def test_a_note_becomes_one_event_with_all_that_it_rests_on(person: User) -> None:
    note(person)
    assert BAD.encode() not in bytes(ModerationOutbox.objects.get().excerpt_sealed)
    (event,) = take_up()
    assert take_up() == []
    stored = ModerationEvent.objects.get()
    assert stored.pk == event.pk
    assert stored.state == State.OPEN
    assert stored.severity > 0
    assert stored.classifier_version
    assert read_excerpt(stored) == BAD
    assert (stored.span_start, stored.span_end) == (0, len(BAD))


@pytest.mark.django_db
def test_a_note_that_was_written_down_already_is_no_second_event(person: User) -> None:
    note(person)
    again = ModerationOutbox.objects.get()
    take_up()
    # As if its deletion had been lost.
    again.save(force_insert=True)
    assert take_up() == []
    assert ModerationEvent.objects.count() == 1
    assert not ModerationOutbox.objects.exists()


@pytest.mark.django_db
def test_a_moderators_note_is_sealed_with_its_event(person: User) -> None:
    note(person)
    (event,) = take_up()
    assert read_note(event) == ""
    assert seal_note(event, " ") is None
    event.note_sealed = seal_note(event, " Known to us. ")
    assert read_note(event) == "Known to us."


@pytest.mark.django_db
def test_strikes_fade_and_dismissed_ones_do_not_count(person: User) -> None:
    rules = default_policy().strikes
    now = timezone.now()
    for _ in range(3):
        note(person)
    note(person, action=Action.FLAGGED)
    old, dismissed, new, flagged = take_up()
    ModerationEvent.objects.update(category=Category.VIOLENCE, created=now)
    half_life = now - timedelta(days=rules.half_life_days)
    ModerationEvent.objects.filter(pk=old.pk).update(created=half_life)
    decided = ModerationEvent.objects.filter(pk=dismissed.pk)
    decided.update(state=State.DECIDED, verdict=Verdict.DISMISSED)
    assert count_strikes(person.pk, rules, now=now) == pytest.approx(1.5)
    confirmed = ModerationEvent.objects.filter(pk=flagged.pk)
    confirmed.update(state=State.DECIDED, verdict=Verdict.CONFIRMED)
    assert count_strikes(person.pk, rules, now=now) == pytest.approx(2.5)
    # In truth it was swearing.
    confirmed.update(label=Category.PROFANITY)
    assert count_strikes(person.pk, rules, now=now) == pytest.approx(1.5)
    assert new.state == State.OPEN


def test_what_is_worse_comes_first() -> None:
    child = weigh_severity("minors", "blocked", 0.99)
    assert child > weigh_severity("hate", "blocked", 0.99) > weigh_severity("hate", "flagged", 0.5)


def test_an_excerpt_stands_around_the_worst_of_a_long_text() -> None:
    text = "harmless " * 400 + "WORST" + " harmless" * 400
    cut = cut_excerpt(text, hits=(), weigh=lambda part: float("WORST" in part))
    assert "WORST" in cut.text[cut.span.start : cut.span.end]
    assert len(cut.text) <= LONGEST_EXCERPT


def test_an_excerpt_shows_what_a_rule_met() -> None:
    at = Span(3_000, 3_005)
    hit = Hit("rule", Category.HATE, 0.9, False, at)
    text = "x" * 3_000 + "WORST" + "x" * 3_000
    cut = cut_excerpt(text, hits=(hit,), weigh=lambda part: 0.0)
    assert cut.text[cut.span.start : cut.span.end] == "WORST"


@pytest.mark.django_db
def test_a_published_policy_is_versioned_and_audited() -> None:
    assert read_policy().version == 0
    data = {**copy.deepcopy(dict(read_default())), "support_message": "Call us."}
    publish(data, author="moderator", note="Another number.")
    assert publish(read_default(), author="moderator", note="Back.").version == 2
    assert read_policy().version == 2
    first, second = AuditEntry.objects.filter(action="policy.published").order_by("seq")
    assert first.detail["note"] == "Another number."
    assert second.detail["before"]["support_message"] == "Call us."


@pytest.mark.django_db
def test_a_bad_policy_is_not_published() -> None:
    with pytest.raises(BadPolicy):
        publish({}, author="moderator", note="Nothing.")
    assert read_policy().version == 0
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_processes_follow_the_newest_policy() -> None:
    following = spawn(follow_policy(every_s=0.01), name="follower under test")
    try:
        await db_call(publish, read_default(), author="moderator", note="The same.")
        await until(lambda: current_policy().version == 1)
    finally:
        following.cancel()
