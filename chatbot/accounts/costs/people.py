"""Who cost the most on a day: so many people are kept, and no more."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q, Sum

from chatbot.accounts.costs.models import CostDay, PersonalCost
from chatbot.accounts.costs.periods import DAY, begin_of
from chatbot.accounts.ledger import TOKENS
from chatbot.accounts.models import LedgerEntry, Purpose, User

# A day may have half a million people; nobody reads further down a list than this.
PEOPLE_KEPT = 1_000
# Counting people reads the whole day. Until the day is reviewed, it is done again when there are
# this many calls more, in hundredths.
LAG_PERCENT = 5


def are_people_due(day: date, *, exactly: bool) -> bool:
    """Say whether the day has other calls than its people were counted of, or many more."""
    counted = CostDay.objects.filter(day=day)
    if exactly:
        return counted.exclude(calls_by_person=F("calls")).exists()
    lagging = Q(calls__gt=F("calls_by_person") * (100 + LAG_PERCENT) / 100)
    return counted.filter(lagging).exists()


@transaction.atomic
def count_people(day: date) -> None:
    """Put the day's most expensive people in the place of those who are listed."""
    state = CostDay.objects.select_for_update().filter(day=day).first()
    if state is None:
        return
    most = _find_most_expensive(day)
    # Nobody is erased from here to the commit, and nobody who is gone is listed.
    there = User.objects.select_for_update(no_key=True).order_by("pk")
    alive = set(there.filter(pk__in=[one["user_id"] for one in most]).values_list("pk", flat=True))
    PersonalCost.objects.filter(day=day).delete()
    PersonalCost.objects.bulk_create(
        PersonalCost(day=day, **one) for one in most if one["user_id"] in alive
    )
    least = most[-1]["cost_micros"] if len(most) == PEOPLE_KEPT else 0
    CostDay.objects.filter(day=day).update(calls_by_person=state.calls, least_kept_micros=least)


def _find_most_expensive(day: date) -> list[dict[str, Any]]:
    entries = LedgerEntry.objects.filter(
        created__gte=begin_of(day), created__lt=begin_of(day + DAY), user__isnull=False
    ).exclude(purpose=Purpose.OPENING)
    summed = entries.values("user_id").annotate(
        answers=Count("pk", filter=Q(purpose=Purpose.ANSWER, models_asked__gt=0)),
        used=Sum(TOKENS),
        cost=Sum("cost_micros"),
    )
    return [
        {
            "user_id": one["user_id"],
            "answers": one["answers"],
            "tokens": int(one["used"]),
            "cost_micros": int(one["cost"]),
        }
        for one in summed.order_by("-cost", "-used", "user_id")[:PEOPLE_KEPT]
    ]
