"""Keeping the roll-up: hours are counted whole, from the ledger, whenever they have changed.

Entries are only ever added to the ledger, so an hour is up to date exactly when it counts as many
calls as the ledger has in it. Counting one puts new rows in the place of the old in a single
transaction. So it may be done twice, by two at once, or be killed at any point, and entries that
are committed late are found: nothing is ever added to what was there before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Min, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from chatbot.accounts.costs.measures import add_up, measure
from chatbot.accounts.costs.models import CostDay, DailyCost, HourlyCost, PersonalCost
from chatbot.accounts.costs.people import are_people_due, count_people
from chatbot.accounts.costs.periods import DAY, Period, begin_of, day_of
from chatbot.accounts.models import LedgerEntry

HOUR = timedelta(hours=1)
# An entry's time is that of its settlement. What is committed later than this was written by hand.
REVIEWED_DAYS = 3


def count_recent(*, now: datetime | None = None) -> int:
    """Count what is new, from the hour before this one on; return how many hours had changed.

    After a pause it begins where the last count ended, and at first with the first entry.
    """
    now = now or timezone.now()
    return _count(min(_counted_until(now), _hour_of(now) - HOUR), now, is_review=False)


def review(*, now: datetime | None = None) -> int:
    """Count what differs from the ledger in the last days; return how many hours did.

    The hours of earlier days are not kept any longer then.
    """
    now = now or timezone.now()
    # From the begin of a day: a clock that was ahead may have made its last hour a later one.
    since = begin_of(day_of(_counted_until(now)))
    changed = _count(min(since, _review_begin(now)), now, is_review=True)
    _drop_hours(now)
    return changed


def rebuild(*, now: datetime | None = None, advance: Callable[[], object] = lambda: None) -> int:
    """Count every day of the ledger anew; return how many, and call `advance` after each.

    Days before the ledger's first entry stay as they are. It may run while the service does.
    """
    now = now or timezone.now()
    period = ledger_period(now)
    if period is None:
        return 0
    for day in period:
        _count_day(day, begin=begin_of(day), is_anew=True)
        count_people(day)
        advance()
    _drop_hours(now)
    return period.days


def ledger_period(now: datetime) -> Period | None:
    """Return the days from the first entry to today, or None while there is none."""
    first = LedgerEntry.objects.aggregate(first=Min("created"))["first"]
    return Period(day_of(first), day_of(now)) if first and first <= now else None


def _count(begin: datetime, now: datetime, *, is_review: bool) -> int:
    changed = 0
    for day in Period(day_of(begin), day_of(now)):
        changed += _count_day(day, begin=max(begin, begin_of(day)))
        if are_people_due(day, exactly=is_review):
            count_people(day)
    return changed


def _count_day(day: date, *, begin: datetime, is_anew: bool = False) -> int:
    end = begin_of(day + DAY)
    # Looked at before the lock is taken, which on SQLite keeps everybody from writing.
    if not is_anew and not _find_hours(begin, end):
        return 0
    with transaction.atomic():
        CostDay.objects.get_or_create(day=day)
        CostDay.objects.select_for_update().get(day=day)
        hours = _find_hours(begin, end, with_unchanged=is_anew)
        for hour in hours:
            HourlyCost.objects.filter(hour=hour).delete()
            found = measure(_ledger(hour, hour + HOUR))
            HourlyCost.objects.bulk_create(HourlyCost(hour=hour, **one) for one in found)
        _add_up_day(day)
    return len(hours)


def _add_up_day(day: date) -> None:
    total = add_up(_kept(begin_of(day), begin_of(day + DAY)))
    DailyCost.objects.filter(day=day).delete()
    DailyCost.objects.bulk_create(DailyCost(day=day, **one) for one in total)
    counted = CostDay.objects.filter(day=day)
    if total:
        counted.update(calls=sum(one["calls"] for one in total), counted=timezone.now())
    else:
        # A day without calls was not counted: `_counted_until` goes by those that were.
        counted.delete()
        PersonalCost.objects.filter(day=day).delete()


def _find_hours(begin: datetime, end: datetime, *, with_unchanged: bool = False) -> list[datetime]:
    """Return the hours in which the ledger has other calls than were counted, in their order."""
    hour = TruncHour("created", tzinfo=UTC)
    in_ledger = dict(
        _ledger(begin, end).annotate(hour=hour).values_list("hour").annotate(calls=Count("*"))
    )
    counted = dict(_kept(begin, end).values_list("hour").annotate(sum=Sum("calls")))
    hours = in_ledger.keys() | counted.keys()
    if not with_unchanged:
        hours = {one for one in hours if in_ledger.get(one, 0) != counted.get(one, 0)}
    return sorted(hours)


def _ledger(begin: datetime, end: datetime) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(created__gte=begin, created__lt=end)


def _kept(begin: datetime, end: datetime) -> QuerySet[HourlyCost]:
    return HourlyCost.objects.filter(hour__gte=begin, hour__lt=end)


def _counted_until(now: datetime) -> datetime:
    """Return a moment before which everything was counted at least once.

    Hours are counted in their order, so that is the begin of the last that was.
    """
    hour: datetime | None = HourlyCost.objects.aggregate(last=Max("hour"))["last"]
    if hour is not None:
        return min(hour, now)
    # No hour is kept: there was nothing to count for days. Other hours of this day are not kept
    # either, so all of it is counted, or nothing.
    day = CostDay.objects.aggregate(last=Max("day"))["last"]
    if day is not None:
        return min(begin_of(day + DAY), now)
    period = ledger_period(now)
    return begin_of(period.first) if period else now


def _review_begin(now: datetime) -> datetime:
    return begin_of(day_of(now) - REVIEWED_DAYS * DAY)


def _drop_hours(now: datetime) -> None:
    HourlyCost.objects.filter(hour__lt=_review_begin(now)).delete()


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
