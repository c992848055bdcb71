"""What a period cost, read from the roll-up alone: its rows grow with days, never with calls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, Sum

from chatbot.accounts.costs import sketch
from chatbot.accounts.costs.measures import SUMS
from chatbot.accounts.costs.models import CostDay, DailyCost, PersonalCost
from chatbot.accounts.costs.periods import Period
from chatbot.accounts.models import Purpose, User


@dataclass(slots=True)
class Tally:
    """Measures of some rows of the roll-up, and what follows from them."""

    calls: int = 0
    answers: int = 0
    fallbacks: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    first_token: dict[str, int] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        is_answer = row["purpose"] == Purpose.ANSWER
        self.calls += row["calls"]
        self.answers += row["works"] if is_answer else 0
        self.fallbacks += row["fallbacks"] if is_answer else 0
        self.input_tokens += row["input_tokens"]
        self.cache_read_tokens += row["cache_read_tokens"]
        self.cache_write_tokens += row["cache_write_tokens"]
        self.output_tokens += row["output_tokens"]
        self.cost_micros += row["cost_micros"]
        sketch.add(self.first_token, row["first_token"])

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def cache_hit_rate(self) -> float | None:
        """The share of all prompts' tokens that was read from a cache."""
        return self.cache_read_tokens / self.prompt_tokens if self.prompt_tokens else None

    @property
    def fallback_rate(self) -> float | None:
        """The share of answers for which more than one model was asked."""
        return self.fallbacks / self.answers if self.answers else None

    @property
    def p50_ms(self) -> int | None:
        return sketch.percentile(self.first_token, 50)

    @property
    def p95_ms(self) -> int | None:
        return sketch.percentile(self.first_token, 95)


@dataclass(frozen=True, slots=True)
class Figures:
    """A period by day, model, plan and purpose; what is keyed is in the order to show it in."""

    period: Period
    total: Tally
    by_day: dict[date, Tally]
    by_model: dict[str, Tally]
    by_plan: dict[str, Tally]
    by_purpose: dict[str, Tally]
    model_micros: dict[tuple[date, str], int]
    counted: datetime | None

    @property
    def is_empty(self) -> bool:
        return not self.total.calls


@dataclass(frozen=True, slots=True)
class Person:
    """What one person cost on the days on which they were among the most expensive."""

    user_id: UUID
    email: str
    plan: str
    answers: int
    tokens: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class People:
    """The most expensive people first; each cost at most `missing_micros` more than it says."""

    people: list[Person]
    missing_micros: int


def read_figures(period: Period) -> Figures:
    rows = DailyCost.objects.filter(day__range=(period.first, period.last))
    total = Tally()
    by_day = {day: Tally() for day in period}
    grouped: dict[str, dict[str, Tally]] = {
        name: defaultdict(Tally) for name in ("model", "plan", "purpose")
    }
    model_micros: dict[tuple[date, str], int] = defaultdict(int)
    # What was spent before there was a ledger has tokens, but neither model nor price.
    read = rows.exclude(purpose=Purpose.OPENING).values(
        "day", "plan", "purpose", "model", *SUMS, "first_token"
    )
    for row in read:
        for tally in (total, by_day[row["day"]], *(grouped[name][row[name]] for name in grouped)):
            tally.add(row)
        model_micros[row["day"], row["model"]] += row["cost_micros"]
    counted = CostDay.objects.aggregate(counted=Max("counted"))["counted"]
    return Figures(
        period=period,
        total=total,
        by_day=by_day,
        by_model=_most_expensive_first(grouped["model"]),
        by_plan=_most_expensive_first(grouped["plan"]),
        by_purpose=_most_expensive_first(grouped["purpose"]),
        model_micros=dict(model_micros),
        counted=counted,
    )


def read_people(period: Period, *, most: int) -> People:
    """Return at most so many people, with what all days of the period on which they are listed say.

    Nobody is missing who cost more than `missing_micros`.
    """
    days = (period.first, period.last)
    summed = (
        PersonalCost.objects.filter(day__range=days)
        .values("user_id")
        .annotate(answered=Sum("answers"), used=Sum("tokens"), cost=Sum("cost_micros"))
        .order_by("-cost", "-used", "user_id")[:most]
    )
    found = {one["user_id"]: one for one in summed}
    users = User.objects.only("email", "plan").in_bulk(list(found))
    missing = CostDay.objects.filter(day__range=days).aggregate(sum=Sum("least_kept_micros"))["sum"]
    people = [
        Person(
            user_id=user_id,
            email=users[user_id].email,
            plan=users[user_id].plan,
            answers=int(one["answered"]),
            tokens=int(one["used"]),
            cost_micros=int(one["cost"]),
        )
        for user_id, one in found.items()
        # Whoever was erased between the two statements is gone.
        if user_id in users
    ]
    return People(people, int(missing or 0))


def _most_expensive_first(tallies: dict[str, Tally]) -> dict[str, Tally]:
    def order(name: str) -> tuple[int, int, str]:
        return -tallies[name].cost_micros, -tallies[name].tokens, name

    return {name: tallies[name] for name in sorted(tallies, key=order)}
