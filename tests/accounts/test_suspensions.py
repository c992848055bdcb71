"""Suspending, warning and slowing people, and their appeals."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from chatbot.accounts.auth import Suspended
from chatbot.accounts.models import User
from chatbot.accounts.sanctions import AccountWarning, Suspension
from chatbot.accounts.suspensions import (
    AlreadyAppealed,
    NotSuspended,
    WarningNotFound,
    appeal,
    decide_appeal,
    find_suspension,
    lift,
    list_open_appeals,
    note_seen,
    read_appeal,
    slow,
    suspend,
    warn,
)
from chatbot.audit.models import AuditEntry
from tests.factories import make_person

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def person() -> User:
    return make_person()


def is_suspended(person: User) -> bool:
    return User.objects.get(pk=person.pk).is_suspended


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("action", flat=True))


def suspend_for(person: User, time: timedelta | None, reason: str = "Threats.") -> Suspension:
    until = None if time is None else timezone.now() + time
    return suspend(person.pk, by="user:moderator", reason=reason, until=until)


def test_a_suspension_begins_and_is_lifted_once(person: User) -> None:
    suspension = suspend_for(person, None)
    assert is_suspended(person)
    assert lift(suspension.pk, by="user:other", note="A mistake.")
    assert not is_suspended(person)
    assert not lift(suspension.pk, by="user:other", note="A mistake.")
    suspension.refresh_from_db()
    assert suspension.ended_by == "user:other"
    assert actions() == ["suspension.begun", "suspension.lifted"]
    told = AuditEntry.objects.get(action="suspension.begun")
    assert (told.actor, told.subject) == ("user:moderator", f"user:{person.pk}")


def test_a_suspension_ends_by_itself_at_its_end(person: User) -> None:
    first = suspend_for(person, timedelta(0))
    assert not is_suspended(person)
    assert find_suspension(person.pk) is None
    assert not lift(first.pk, by="user:other", note="Too late.")
    assert suspend_for(person, DAY).pk != first.pk
    assert is_suspended(person)


def test_a_longer_suspension_prolongs_the_one_that_holds(person: User) -> None:
    first = suspend_for(person, DAY)
    assert suspend_for(person, 2 * DAY, "Worse.").pk == first.pk
    assert suspend_for(person, DAY, "Less.").reason == "Worse."
    endless = suspend_for(person, None, "Worst.")
    assert (endless.pk, endless.until) == (first.pk, None)
    assert suspend_for(person, 2 * DAY).until is None
    assert User.objects.get(pk=person.pk).suspended_until is None
    assert actions() == ["suspension.begun", "suspension.prolonged", "suspension.prolonged"]


def test_nobody_has_two_suspensions_at_a_time(person: User) -> None:
    suspend_for(person, None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Suspension.objects.create(user=person, reason="Again.", by="system")


def test_whoever_is_gone_is_not_suspended() -> None:
    with pytest.raises(User.DoesNotExist):
        suspend_for(User(), None)


def test_a_refusal_says_why_until_when_and_whether_to_appeal(person: User) -> None:
    suspension = suspend_for(person, DAY)
    assert suspension.until is not None
    expected = {"reason": "Threats.", "until": suspension.until.isoformat(), "mayAppeal": True}
    assert Suspended.of(person.pk).detail == expected
    appeal(person.pk, text="It was a quotation.")
    assert Suspended.of(person.pk).detail == {**expected, "mayAppeal": False}


def test_an_appeal_is_sealed_and_made_once(person: User) -> None:
    with pytest.raises(NotSuspended):
        appeal(person.pk, text="Why?")
    suspend_for(person, None)
    made = appeal(person.pk, text="It was a quotation.")
    assert made.appeal_sealed
    assert b"quotation" not in bytes(made.appeal_sealed)
    assert read_appeal(made) == "It was a quotation."
    with pytest.raises(AlreadyAppealed):
        appeal(person.pk, text="Please.")
    assert read_appeal(made) == "It was a quotation."


@pytest.mark.parametrize("is_granted", [True, False], ids=["granted", "refused"])
def test_an_appeal_is_decided_once_and_lifts_when_granted(person: User, is_granted: bool) -> None:
    suspend_for(person, None)
    made = appeal(person.pk, text="It was a quotation.")
    assert [one.pk for one in list_open_appeals()] == [made.pk]

    def decide(*, is_granted: bool) -> bool:
        answer = "We looked again."
        return decide_appeal(made.pk, by="user:other", is_granted=is_granted, answer=answer)

    assert decide(is_granted=is_granted)
    assert not decide(is_granted=not is_granted)
    made.refresh_from_db()
    assert (made.appeal_granted, made.appeal_answer) == (is_granted, "We looked again.")
    assert is_suspended(person) is not is_granted
    assert actions()[-1] == ("appeal.granted" if is_granted else "appeal.refused")


def test_a_suspension_without_an_appeal_has_nothing_to_read_or_decide(person: User) -> None:
    suspension = suspend_for(person, None)
    assert read_appeal(suspension) == ""
    assert not decide_appeal(suspension.pk, by="user:other", is_granted=True, answer="")


def test_a_warning_is_seen_by_its_own_person_only(person: User) -> None:
    warning = warn(person.pk, by="user:moderator", text="Please do not.")
    with pytest.raises(WarningNotFound):
        note_seen(make_person().pk, warning.pk)
    note_seen(person.pk, warning.pk)
    seen_at = AccountWarning.objects.get().seen_at
    assert seen_at
    note_seen(person.pk, warning.pk)
    assert AccountWarning.objects.get().seen_at == seen_at


def test_a_longer_slowing_stays(person: User) -> None:
    later = timezone.now() + DAY
    slow(person.pk, by="system", until=later, reason="Strikes.")
    slow(person.pk, by="system", until=timezone.now(), reason="Strikes.")
    slowed = User.objects.get(pk=person.pk)
    assert slowed.is_slowed
    assert slowed.slowed_until == later
    assert actions() == ["person.slowed"]
    slow(person.pk, by="system", until=later + DAY, reason="Strikes.")
    assert actions() == ["person.slowed", "person.slowed"]


def test_all_of_it_goes_with_the_person(person: User) -> None:
    suspend_for(person, None)
    warn(person.pk, by="user:moderator", text="Please do not.")
    person.delete()
    assert not Suspension.objects.exists()
    assert not AccountWarning.objects.exists()
