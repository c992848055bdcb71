"""What a person's violations add up to; older ones count less, dismissed ones not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from moderation.models import Action, ModerationEvent, Verdict
from moderation.policy import StrikeRules

# Older ones count less than a thousandth.
_HALF_LIVES = 10
# What counts before anybody has looked at it.
_CERTAIN = (Action.BLOCKED, Action.HALTED)


@dataclass(frozen=True, slots=True)
class Violation:
    category: str
    at: datetime


def add_up(violations: Iterable[Violation], rules: StrikeRules, *, now: datetime) -> float:
    """Return the sum of what each violation still counts."""
    half_life = timedelta(days=rules.half_life_days)
    total = 0.0
    for one in violations:
        half_lives = max(timedelta(0), now - one.at) / half_life
        total += rules.weight(one.category) * float(0.5**half_lives)
    return total


def count_strikes(user_id: UUID, rules: StrikeRules, *, now: datetime) -> float:
    """Return a person's strikes: what was blocked or halted, and what moderators confirmed."""
    since = now - timedelta(days=rules.half_life_days * _HALF_LIVES)
    counts = Q(action__in=_CERTAIN) | Q(verdict=Verdict.CONFIRMED)
    rows = ModerationEvent.objects.filter(counts, user_id=user_id, created__gte=since)
    rows = rows.exclude(verdict=Verdict.DISMISSED)
    # What a moderator says it is counts, where one has said it.
    found = rows.values_list("category", "label", "created")
    violations = [Violation(label or category, at) for category, label, at in found]
    return add_up(violations, rules, now=now)
