"""Emptying the outbox: every note becomes one event, whoever does it and however often."""

from __future__ import annotations

from django.db import connection, transaction

from moderation.models import Action, ModerationEvent, ModerationOutbox
from moderation.types import Category

# So many are taken up in one transaction.
AT_ONCE = 200

# What is worst for others comes first in the queue.
_GRAVITY = {
    Category.MINORS: 1.0,
    Category.SELF_HARM: 0.95,
    Category.WEAPONS: 0.85,
    Category.VIOLENCE: 0.8,
    Category.HATE: 0.75,
    Category.ILLICIT: 0.65,
    Category.CYBER: 0.6,
    Category.HARASSMENT: 0.6,
    Category.SEXUAL: 0.5,
    Category.PRIVACY: 0.5,
    Category.INJECTION: 0.35,
    Category.PROFANITY: 0.15,
}
_PUSH = {
    Action.SUPPORTED: 1.0,
    Action.WITHDRAWN: 1.0,
    Action.HALTED: 0.95,
    Action.BLOCKED: 0.85,
    Action.FLAGGED: 0.75,
}


def weigh_severity(category: str, action: str, score: float) -> int:
    """Return from 0 to 100 how soon a moderator should look at an event."""
    return round(100 * _GRAVITY[Category(category)] * _PUSH[Action(action)] * (0.5 + score / 2))


@transaction.atomic
def take_up() -> list[ModerationEvent]:
    """Write down the oldest notes as events and return those that are new.

    Several may do it at once: what one has taken the others leave alone.
    """
    waiting = ModerationOutbox.objects.order_by("created")
    if connection.features.has_select_for_update_skip_locked:
        waiting = waiting.select_for_update(skip_locked=True)
    notes = {note.pk: note for note in waiting[:AT_ONCE]}
    # What was refused once more under its key has its event, and counts no second time.
    known = set(ModerationEvent.objects.filter(pk__in=list(notes)).values_list("pk", flat=True))
    events = [_event(note) for note in notes.values() if note.pk not in known]
    ModerationEvent.objects.bulk_create(events, ignore_conflicts=True)
    ModerationOutbox.objects.filter(pk__in=list(notes)).delete()
    return events


def _event(note: ModerationOutbox) -> ModerationEvent:
    record = note.record
    return ModerationEvent(
        id=note.pk,
        user_id=note.user_id,
        created=note.created,
        wrapped_key=note.wrapped_key,
        excerpt_sealed=note.excerpt_sealed,
        severity=weigh_severity(record["category"], record["action"], record["score"]),
        **record,
    )
