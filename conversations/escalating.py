"""From notes of what was screened out to events, and from a person's events to what follows.

An event is written down and counted in one transaction: whoever dies in between leaves the note in
the outbox, and the next one does both.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from chatbot.accounts.sanctions import Suspension
from chatbot.accounts.suspensions import find_suspension, lock_people, slow, suspend
from chatbot.audit.log import SYSTEM
from moderation.models import Action, ModerationEvent, ModerationOutbox, Verdict
from moderation.policies import current_policy, read_policy, set_policy
from moderation.policy import StrikeRules
from moderation.strikes import count_strikes
from moderation.taking import take_up

# What counts against a person before a moderator has looked at it.
COUNTING = (Action.BLOCKED, Action.HALTED)
# So many times in one run; the next run of the schedule goes on.
MOST_ROUNDS = 10
SUSPENDED = "Several messages or answers in a short time were against the rules of this service."
SLOWED = "strikes"


def write_events() -> int:
    """Empty the outbox by the newest policy, and return how many events were written."""
    written = 0
    for _ in range(MOST_ROUNDS):
        # Looked at first: on SQLite whoever takes up keeps all other writers waiting.
        if not ModerationOutbox.objects.exists():
            break
        set_policy(read_policy())
        taken = _take_up()
        written += taken
        if not taken:
            # What is there others are writing down.
            break
    return written


@transaction.atomic
def _take_up() -> int:
    events = take_up()
    escalate(events)
    return len(events)


@transaction.atomic
def escalate(events: Iterable[ModerationEvent]) -> None:
    """Slow or suspend whose strikes, these events among them, reach the policy's limits.

    They are new, or a moderator has just confirmed them.

    Events from before a person's last suspension ended lead to no other: they had their
    consequence, or a moderator said that they should have none.
    """
    newest: dict[UUID, ModerationEvent] = {}
    for event in events:
        counts = event.action in COUNTING and event.verdict != Verdict.DISMISSED
        if counts or event.verdict == Verdict.CONFIRMED:
            known = newest.get(event.user_id)
            if known is None or event.created > known.created:
                newest[event.user_id] = event
    rules = current_policy().strikes
    now = timezone.now()
    # All at once and in order, before anything is written of anybody: two who take up events of
    # the same people wait for each other here, and the later one counts what the other wrote.
    for user_id in lock_people(newest):
        if not _had_consequence(newest[user_id]):
            _follow_up(newest[user_id], rules, now)


def _had_consequence(event: ModerationEvent) -> bool:
    if find_suspension(event.user_id):
        return True
    last = Suspension.objects.filter(user_id=event.user_id).order_by("-created").first()
    if last is None:
        return False
    ended = last.ended_at or last.until
    return ended is not None and event.created <= ended


def _follow_up(event: ModerationEvent, rules: StrikeRules, now: datetime) -> None:
    user_id = event.user_id
    # Each fades from the first second on: three of the last hours are three nevertheless.
    strikes = round(count_strikes(user_id, rules, now=now), 1)
    if strikes >= rules.suspend_at:
        until = now + timedelta(days=rules.suspend_days)
        suspend(user_id, by=SYSTEM, reason=SUSPENDED, until=until, event_id=event.pk)
    elif strikes >= rules.slow_at:
        until = now + timedelta(hours=rules.slow_hours)
        slow(user_id, by=SYSTEM, until=until, reason=SLOWED)
