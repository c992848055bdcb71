"""Claims and verdicts: one moderator at a time, and everything in the audit log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connections
from django.utils import timezone

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from moderation.deciding import LEASE, claim_event, claim_next, decide, decide_many, release
from moderation.errors import AlreadyDecided, ClaimLapsed, EventGone, HeldByAnother
from moderation.models import ModerationEvent, State, Verdict
from moderation.recording import read_note
from moderation.types import Category
from tests.desk.conftest import new_moderator
from tests.desk.events import put_event

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now()


@pytest.fixture
def event(person: User) -> ModerationEvent:
    return put_event(person)


@pytest.fixture
def other(moderator: User) -> User:
    return new_moderator()


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("action", flat=True))


def test_of_two_moderators_at_once_one_gets_the_event(
    event: ModerationEvent, moderator: User, other: User
) -> None:
    both = Barrier(2)

    def claim(who: User) -> bool:
        both.wait()
        try:
            claim_event(event.pk, moderator=who.pk, now=timezone.now())
        except HeldByAnother:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(claim, [moderator, other])) == [False, True]
    assert actions() == ["content.read"]


def test_looking_again_renews_a_claim_without_another_entry(
    event: ModerationEvent, moderator: User
) -> None:
    first = claim_event(event.pk, moderator=moderator.pk, now=NOW)
    later = NOW + LEASE / 2
    again = claim_event(event.pk, moderator=moderator.pk, now=later)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.event.claimed_until == later + LEASE
    assert actions() == ["content.read"]


def test_a_claim_that_lapsed_is_anybodys(
    event: ModerationEvent, moderator: User, other: User
) -> None:
    claim_event(event.pk, moderator=moderator.pk, now=NOW - LEASE)
    assert claim_event(event.pk, moderator=other.pk, now=timezone.now()).is_new
    with pytest.raises(HeldByAnother) as refused:
        decide(event.pk, moderator=moderator.pk, verdict=Verdict.CONFIRMED)
    assert refused.value.until > timezone.now()
    event.refresh_from_db()
    assert event.state == State.OPEN


def test_only_who_has_the_claim_decides_and_once(
    event: ModerationEvent, moderator: User, other: User
) -> None:
    with pytest.raises(ClaimLapsed):
        decide(event.pk, moderator=moderator.pk, verdict=Verdict.CONFIRMED)
    claim_event(event.pk, moderator=moderator.pk, now=timezone.now())
    with pytest.raises(HeldByAnother):
        decide(event.pk, moderator=other.pk, verdict=Verdict.DISMISSED)
    decided = decide(
        event.pk,
        moderator=moderator.pk,
        verdict=Verdict.CONFIRMED,
        label=Category.HARASSMENT,
        note="They mean it.",
    )
    assert (decided.verdict, decided.label) == (Verdict.CONFIRMED, Category.HARASSMENT)
    assert (decided.decided_by_id, decided.claimed_by_id) == (moderator.pk, None)
    assert read_note(decided) == "They mean it."
    assert b"They mean it." not in bytes(decided.note_sealed)
    for act in (
        lambda: decide(event.pk, moderator=moderator.pk, verdict=Verdict.DISMISSED),
        lambda: claim_event(event.pk, moderator=other.pk, now=timezone.now()),
    ):
        with pytest.raises(AlreadyDecided):
            act()
    told = AuditEntry.objects.get(action="event.confirmed")
    assert told.subject == f"moderationevent:{event.pk}"
    assert told.detail == {"category": event.category, "label": Category.HARASSMENT}


def test_the_same_category_is_no_label_and_a_dismissed_event_has_none(
    person: User, moderator: User
) -> None:
    for verdict in Verdict:
        event = put_event(person)
        claim_event(event.pk, moderator=moderator.pk, now=timezone.now())
        label = event.category if verdict == Verdict.CONFIRMED else Category.HATE
        assert decide(event.pk, moderator=moderator.pk, verdict=verdict, label=label).label == ""


def test_next_is_the_most_urgent_that_nobody_has(
    person: User, moderator: User, other: User
) -> None:
    mild, first, second = (put_event(person, severity=one) for one in (10, 90, 90))
    held = put_event(person, severity=99)
    claim_event(held.pk, moderator=other.pk, now=timezone.now())
    taken = [claim_next(moderator=moderator.pk, now=timezone.now()) for _ in range(4)]
    assert [one and one.pk for one in taken] == [first.pk, second.pk, mild.pk, None]


def test_what_is_given_back_is_free(event: ModerationEvent, moderator: User, other: User) -> None:
    claim_event(event.pk, moderator=moderator.pk, now=timezone.now())
    assert not release(event.pk, moderator=other.pk)
    assert release(event.pk, moderator=moderator.pk)
    assert claim_event(event.pk, moderator=other.pk, now=timezone.now()).is_new


def test_many_are_decided_but_not_those_of_others(
    person: User, moderator: User, other: User
) -> None:
    free, mine, theirs, done = (put_event(person) for _ in range(4))
    claim_event(mine.pk, moderator=moderator.pk, now=timezone.now())
    claim_event(theirs.pk, moderator=other.pk, now=timezone.now())
    decide_many([done.pk], moderator=other.pk, verdict=Verdict.CONFIRMED)
    every = [one.pk for one in (free, mine, theirs, done)]
    assert len(decide_many(every, moderator=moderator.pk, verdict=Verdict.DISMISSED)) == 2
    left = ModerationEvent.objects.filter(verdict=Verdict.DISMISSED).values_list("pk", flat=True)
    assert set(left) == {free.pk, mine.pk}
    assert actions().count("event.dismissed") == 2


def test_an_event_that_is_gone_says_so(moderator: User) -> None:
    with pytest.raises(EventGone):
        claim_event(uuid4(), moderator=moderator.pk, now=NOW)
    with pytest.raises(EventGone):
        decide(uuid4(), moderator=moderator.pk, verdict=Verdict.CONFIRMED)
