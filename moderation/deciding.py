"""What moderators do with events: claim them, one moderator at a time, and decide them.

Each step is one conditional UPDATE; the row count says whether it happened. What was done is in the
audit log, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from chatbot.audit.log import record
from chatbot.audit.naming import name_of
from moderation.errors import AlreadyDecided, ClaimLapsed, EventGone, HeldByAnother
from moderation.models import ModerationEvent, State, Verdict
from moderation.recording import seal_note

# Long enough to read and to think; looking again renews it.
LEASE = timedelta(minutes=10)
# Events that others took between the look and the claim: beyond, somebody claims whatever is there.
MAX_TRIES = 20


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to decide an event until its lease lapses; `is_new` unless it was renewed."""

    event: ModerationEvent
    is_new: bool


@transaction.atomic
def claim_event(event_id: UUID, *, moderator: UUID, now: datetime) -> Claim:
    """Claim an event for a moderator, or renew their claim.

    A new claim shows them what was said, and the audit log has it before they see it. Raises
    EventGone, AlreadyDecided or HeldByAnother.
    """
    rows = ModerationEvent.objects.filter(pk=event_id, state=State.OPEN)
    until = now + LEASE
    if rows.filter(_held_by(moderator, now)).update(claimed_until=until):
        return Claim(ModerationEvent.objects.get(pk=event_id), is_new=False)
    if not rows.filter(_free(now)).update(claimed_by=moderator, claimed_until=until):
        raise _find_fault(event_id, moderator, now)
    event = ModerationEvent.objects.get(pk=event_id)
    record(_name(moderator), "content.read", name_of(event), what="excerpt")
    return Claim(event, is_new=True)


def claim_next(*, moderator: UUID, now: datetime) -> ModerationEvent | None:
    """Claim the most urgent event that nobody has; None when there is none."""
    for _ in range(MAX_TRIES):
        free = ModerationEvent.objects.filter(_free(now), state=State.OPEN)
        first = free.order_by("-severity", "created").values_list("pk", flat=True).first()
        if first is None:
            break
        try:
            return claim_event(first, moderator=moderator, now=now).event
        except (EventGone, AlreadyDecided, HeldByAnother):
            continue
    return None


def release(event_id: UUID, *, moderator: UUID) -> bool:
    """Give a claim back; False if it is not theirs any more."""
    held = ModerationEvent.objects.filter(pk=event_id, state=State.OPEN, claimed_by=moderator)
    return bool(held.update(claimed_by=None, claimed_until=None))


@transaction.atomic
def decide(
    event_id: UUID, *, moderator: UUID, verdict: Verdict, label: str = "", note: str = ""
) -> ModerationEvent:
    """Decide an event that this moderator has claimed, and return it.

    `label` is the category that a confirmed one is in truth, where that is another. Raises EventGone,
    AlreadyDecided, HeldByAnother or ClaimLapsed; then nothing has changed.
    """
    now = timezone.now()
    event = ModerationEvent.objects.filter(pk=event_id).first()
    if event is None:
        raise EventGone
    held = ModerationEvent.objects.filter(_held_by(moderator, now), pk=event_id, state=State.OPEN)
    said = _ruling(moderator, verdict, now) | {"note_sealed": seal_note(event, note)}
    if verdict == Verdict.CONFIRMED and label != event.category:
        said["label"] = label
    if not held.update(**said):
        raise _find_fault(event_id, moderator, now)
    _note_ruling(event, moderator, verdict, label=said.get("label", ""))
    event.refresh_from_db()
    return event


@transaction.atomic
def decide_many(
    event_ids: Iterable[UUID], *, moderator: UUID, verdict: Verdict
) -> list[ModerationEvent]:
    """Decide those of the events that nobody else has claimed, and return them."""
    now = timezone.now()
    mine = _free(now) | _held_by(moderator, now)
    rows = ModerationEvent.objects.filter(mine, state=State.OPEN)
    decided = []
    for event in ModerationEvent.objects.filter(pk__in=list(event_ids)).order_by("pk"):
        if rows.filter(pk=event.pk).update(**_ruling(moderator, verdict, now)):
            _note_ruling(event, moderator, verdict, label="", together=True)
            event.verdict = verdict
            decided.append(event)
    return decided


def _ruling(moderator: UUID, verdict: Verdict, now: datetime) -> dict[str, object]:
    return {
        "state": State.DECIDED,
        "verdict": verdict,
        "decided_by": moderator,
        "decided_at": now,
        "claimed_by": None,
        "claimed_until": None,
    }


def _note_ruling(
    event: ModerationEvent, moderator: UUID, verdict: Verdict, **detail: object
) -> None:
    action = f"event.{verdict}"
    record(_name(moderator), action, name_of(event), category=event.category, **detail)


def _free(now: datetime) -> Q:
    return Q(claimed_by=None) | Q(claimed_until=None) | Q(claimed_until__lte=now)


def _held_by(moderator: UUID, now: datetime) -> Q:
    return Q(claimed_by=moderator, claimed_until__gt=now)


def _find_fault(event_id: UUID, moderator: UUID, now: datetime) -> Exception:
    """Return why an event could not be claimed or decided."""
    event = ModerationEvent.objects.filter(pk=event_id).first()
    if event is None:
        return EventGone()
    if event.state == State.DECIDED:
        return AlreadyDecided()
    if event.claimed_until and event.claimed_until > now and event.claimed_by_id != moderator:
        return HeldByAnother(until=event.claimed_until)
    return ClaimLapsed()


def _name(moderator: UUID) -> str:
    return f"user:{moderator}"
