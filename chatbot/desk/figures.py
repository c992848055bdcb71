"""How much comes to the desk, how right it is, and how long it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil

from django.db.models import Count, Q
from django.db.models.functions import TruncDate

from moderation.models import ModerationEvent, State, Verdict

# The begin of each age, oldest last.
AGES = (
    ("under an hour", timedelta(0)),
    ("1 to 24 hours", timedelta(hours=1)),
    ("1 to 7 days", timedelta(days=1)),
    ("over 7 days", timedelta(days=7)),
)


@dataclass(frozen=True, slots=True)
class Rightness:
    """What moderators said of a category's events."""

    category: str
    decided: int
    confirmed: int

    @property
    def precision(self) -> float:
        return self.confirmed / self.decided


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the page shows; `volume` has a row a day, with a number for each of `categories`."""

    categories: Sequence[str]
    volume: Sequence[tuple[date, Sequence[int]]]
    rightness: Sequence[Rightness]
    decided: int
    median: timedelta | None
    p90: timedelta | None
    backlog: Sequence[tuple[str, int]]


def read_figures(*, now: datetime, days: int) -> Figures:
    """Return the figures of the last days, today included, and the backlog as it is now."""
    last = now.astimezone(UTC).date()
    first = last - timedelta(days=days - 1)
    since = datetime.combine(first, datetime.min.time(), UTC)
    categories, volume = _volume(since, [first + timedelta(days=one) for one in range(days)])
    waits = _waits(since)
    return Figures(
        categories,
        volume,
        _rightness(since),
        len(waits),
        percentile(waits, 50),
        percentile(waits, 90),
        _backlog(now),
    )


def _volume(
    since: datetime, days: Sequence[date]
) -> tuple[list[str], list[tuple[date, list[int]]]]:
    rows = ModerationEvent.objects.filter(created__gte=since).order_by()
    by_day = rows.annotate(day=TruncDate("created", tzinfo=UTC)).values_list("day", "category")
    found = {(day, category): count for day, category, count in by_day.annotate(n=Count("pk"))}
    totals: dict[str, int] = {}
    for (_, category), count in found.items():
        totals[category] = totals.get(category, 0) + count
    categories = sorted(totals, key=lambda one: (-totals[one], one))
    return categories, [(day, [found.get((day, one), 0) for one in categories]) for day in days]


def _rightness(since: datetime) -> list[Rightness]:
    rows = ModerationEvent.objects.filter(state=State.DECIDED, decided_at__gte=since).order_by()
    found = rows.values_list("category").annotate(
        decided=Count("pk"), confirmed=Count("pk", filter=Q(verdict=Verdict.CONFIRMED))
    )
    return sorted((Rightness(*one) for one in found), key=lambda one: (-one.decided, one.category))


def _waits(since: datetime) -> list[timedelta]:
    """Return how long each event waited for its decision, the shortest first."""
    rows = ModerationEvent.objects.filter(state=State.DECIDED, decided_at__gte=since)
    return sorted(
        max(timedelta(0), decided - created)
        for created, decided in rows.values_list("created", "decided_at")
        if decided
    )


def percentile(waits: Sequence[timedelta], percent: int) -> timedelta | None:
    """Return the wait that so many percent do not exceed; None of nothing."""
    return waits[max(1, ceil(len(waits) * percent / 100)) - 1] if waits else None


def _backlog(now: datetime) -> list[tuple[str, int]]:
    begins = [begin for _, begin in AGES]
    open_ones = ModerationEvent.objects.filter(state=State.OPEN)
    counts: dict[str, Count] = {}
    for number, begin in enumerate(begins):
        aged = Q() if not number else Q(created__lte=now - begin)
        if number + 1 < len(begins):
            aged &= Q(created__gt=now - begins[number + 1])
        counts[f"age{number}"] = Count("pk", filter=aged) if aged else Count("pk")
    found = open_ones.aggregate(**counts)
    return [(name, found[f"age{number}"]) for number, (name, _) in enumerate(AGES)]
