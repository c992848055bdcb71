"""Suspending, warning and slowing people, what they say to that, and what is answered.

Each change is one transaction: the row that says why, the columns of the person that doors read,
and the entry in the audit log. People are locked first, so that changes of one person have an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from chatbot.accounts.models import User
from chatbot.accounts.sanctions import AccountWarning, Suspension
from chatbot.audit.log import SYSTEM, record
from chatbot.audit.naming import name_of
from chatbot.core.errors import Conflict, NotFound

_APPEAL = ("accounts_suspension", "appeal")


class NotSuspended(Conflict):
    code = "not_suspended"
    sentence = "This account is not suspended."


class AlreadyAppealed(Conflict):
    code = "already_appealed"
    sentence = "This suspension has been appealed already."


class WarningNotFound(NotFound):
    code = "warning_not_found"
    sentence = "There is no such warning."


@transaction.atomic
def suspend(
    user_id: UUID, *, by: str, reason: str, until: datetime | None, event_id: UUID | None = None
) -> Suspension:
    """Suspend a person until then (None: until it is lifted) and return the suspension.

    One that holds already is prolonged, with the new reason, if this one lasts longer; otherwise
    it stays as it is. Raises User.DoesNotExist.
    """
    _lock(user_id)
    now = timezone.now()
    _close_expired(user_id, now)
    holding = Suspension.objects.filter(user_id=user_id, ended_at=None)
    shorter = holding.filter(until__isnull=False)
    if until is not None:
        shorter = shorter.filter(until__lt=until)
    is_longer = shorter.update(until=until, reason=reason, by=by, event_id=event_id) == 1
    suspension = holding.first()
    if suspension is None:
        suspension = Suspension.objects.create(
            user_id=user_id, created=now, until=until, reason=reason, by=by, event_id=event_id
        )
    elif not is_longer:
        return suspension
    User.objects.filter(pk=user_id).update(
        suspended_at=suspension.created, suspended_until=suspension.until
    )
    record(
        by,
        "suspension.prolonged" if is_longer else "suspension.begun",
        _subject(user_id),
        suspension=str(suspension.pk),
        until=_text(until),
        reason=reason,
        event=_text(event_id),
    )
    return suspension


@transaction.atomic
def lift(suspension_id: UUID, *, by: str, note: str) -> bool:
    """End a suspension; False if it had ended."""
    user_id = Suspension.objects.filter(pk=suspension_id).values_list("user_id", flat=True).first()
    if user_id is None:
        return False
    _lock(user_id)
    now = timezone.now()
    _close_expired(user_id, now)
    holding = Suspension.objects.filter(pk=suspension_id, ended_at=None)
    if not holding.update(ended_at=now, ended_by=by):
        return False
    User.objects.filter(pk=user_id).update(suspended_at=None, suspended_until=None)
    record(by, "suspension.lifted", _subject(user_id), suspension=str(suspension_id), note=note)
    return True


@transaction.atomic
def warn(user_id: UUID, *, by: str, text: str, event_id: UUID | None = None) -> AccountWarning:
    """Leave a warning that the person is shown once. Raises User.DoesNotExist."""
    _lock(user_id)
    warning = AccountWarning.objects.create(user_id=user_id, by=by, text=text, event_id=event_id)
    record(
        by,
        "warning.given",
        _subject(user_id),
        warning=str(warning.pk),
        text=text,
        event=_text(event_id),
    )
    return warning


@transaction.atomic
def slow(user_id: UUID, *, by: str, until: datetime, reason: str) -> None:
    """Let a person send a quarter of what others may until then; a longer such time stays."""
    shorter = Q(slowed_until=None) | Q(slowed_until__lt=until)
    if User.objects.filter(shorter, pk=user_id).update(slowed_until=until):
        record(by, "person.slowed", _subject(user_id), until=_text(until), reason=reason)


def note_seen(user_id: UUID, warning_id: UUID) -> None:
    """Note that a person has seen a warning; again is no error. Raises WarningNotFound."""
    theirs = AccountWarning.objects.filter(pk=warning_id, user_id=user_id)
    if not theirs.filter(seen_at=None).update(seen_at=timezone.now()) and not theirs.exists():
        raise WarningNotFound


@transaction.atomic
def appeal(user_id: UUID, *, text: str) -> Suspension:
    """Keep, sealed, what a person says against the suspension that holds.

    Raises NotSuspended, AlreadyAppealed and CannotOpen.
    """
    _lock(user_id)
    suspension = find_suspension(user_id)
    if suspension is None:
        raise NotSuspended
    user = User.objects.get(pk=user_id)
    sealed = user.cipher().seal(text, *_APPEAL, str(suspension.pk))
    fresh = Suspension.objects.filter(pk=suspension.pk, appealed_at=None)
    if not fresh.update(appeal_sealed=sealed, appealed_at=timezone.now()):
        raise AlreadyAppealed
    suspension.refresh_from_db()
    record(name_of(user), "appeal.made", _subject(user_id), suspension=str(suspension.pk))
    return suspension


@transaction.atomic
def decide_appeal(suspension_id: UUID, *, by: str, is_granted: bool, answer: str) -> bool:
    """Answer an appeal, and lift the suspension where it is granted; False if it was decided."""
    waiting = list_open_appeals().filter(pk=suspension_id)
    user_id = waiting.values_list("user_id", flat=True).first()
    if user_id is None:
        return False
    _lock(user_id)
    decided = waiting.update(
        appeal_granted=is_granted,
        appeal_answer=answer,
        appeal_decided_at=timezone.now(),
        appeal_by=by,
    )
    if not decided:
        return False
    if is_granted:
        lift(suspension_id, by=by, note=answer)
    record(
        by,
        "appeal.granted" if is_granted else "appeal.refused",
        _subject(user_id),
        suspension=str(suspension_id),
        answer=answer,
    )
    return True


def list_open_appeals() -> QuerySet[Suspension]:
    """Return the suspensions whose appeals nobody has answered, the oldest appeal first."""
    return Suspension.objects.filter(appealed_at__isnull=False, appeal_decided_at=None).order_by(
        "appealed_at"
    )


def read_appeal(suspension: Suspension) -> str:
    """Return what the person said, "" where they have not. Raises CannotOpen."""
    if suspension.appeal_sealed is None:
        return ""
    cipher = suspension.user.cipher()
    return cipher.open(suspension.appeal_sealed, *_APPEAL, str(suspension.pk))


def find_suspension(user_id: UUID) -> Suspension | None:
    """Return the suspension that holds now."""
    endless_or_later = Q(until=None) | Q(until__gt=timezone.now())
    return Suspension.objects.filter(endless_or_later, user_id=user_id, ended_at=None).first()


def lock_people(user_ids: Iterable[UUID]) -> list[UUID]:
    """Keep these people's standing from others until the transaction ends; return who there are.

    Whoever only refers to a person, as a new message does, does not wait.
    """
    people = User.objects.select_for_update(no_key=True).filter(pk__in=list(user_ids))
    return list(people.order_by("pk").values_list("pk", flat=True))


def _lock(user_id: UUID) -> None:
    """Raises User.DoesNotExist."""
    if not lock_people([user_id]):
        raise User.DoesNotExist


def _close_expired(user_id: UUID, now: datetime) -> None:
    """Write down that a suspension whose end has come is over, so that another can begin."""
    expired = Suspension.objects.filter(user_id=user_id, ended_at=None, until__lte=now)
    if expired.update(ended_at=F("until"), ended_by=SYSTEM):
        User.objects.filter(pk=user_id).update(suspended_at=None, suspended_until=None)


def _subject(user_id: UUID) -> str:
    return name_of(User(pk=user_id))


def _text(value: datetime | UUID | None) -> str | None:
    return None if value is None else str(value)
