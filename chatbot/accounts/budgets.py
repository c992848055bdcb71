"""Monthly token budgets: reserve the worst case before, settle the real usage after.

Each change is one conditional UPDATE, so that parallel requests cannot overspend.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from django.conf import settings
from django.db.models import BigIntegerField, F, Subquery
from django.db.models.functions import Greatest

from chatbot.accounts.models import BudgetPeriod, User
from chatbot.core.errors import BudgetExhausted
from chatbot.core.prepared import PreparedUpdate

logger = logging.getLogger(__name__)

# How often the rest of a budget is looked at again because another request took of it meanwhile.
MAX_LOOKS = 5
NOT_ENOUGH = "What is left of this month's token budget is not enough for this."

# The row is kept at the plan's present limit.
_reserve = PreparedUpdate(
    lambda at: BudgetPeriod.objects.filter(
        user_id=at.user, month=at.month, reserved__lte=at.most - F("spent")
    ),
    lambda at: {"limit": at.limit, "reserved": F("reserved") + at.tokens},
    user=UUID,
    month=date,
    most=int,
    limit=int,
    tokens=int,
)
_settle = PreparedUpdate(
    lambda at: BudgetPeriod.objects.filter(
        user_id=at.user, month=at.month, reserved__gte=at.reserved
    ),
    lambda at: {"reserved": F("reserved") - at.reserved, "spent": F("spent") + at.spent},
    user=UUID,
    month=date,
    reserved=int,
    spent=int,
)


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens of one month."""

    limit: int
    reserved: int
    spent: int
    resets_at: datetime

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.reserved - self.spent)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens set aside, and the month they were taken from."""

    month: date
    tokens: int


def month_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date().replace(day=1)


def next_month(month: date) -> datetime:
    year, index = divmod(month.year * 12 + month.month, 12)
    return datetime(year, index + 1, 1, tzinfo=UTC)


def monthly_limit(user: User) -> int:
    if user.monthly_token_budget is not None:
        return user.monthly_token_budget
    return int(settings.BUDGET_TOKENS[user.plan])


def read_budget(user: User, *, now: datetime) -> Budget:
    month = month_of(now)
    period = BudgetPeriod.objects.filter(user=user, month=month).first()
    return Budget(
        limit=monthly_limit(user),
        reserved=period.reserved if period else 0,
        spent=period.spent if period else 0,
        resets_at=next_month(month),
    )


def select_used(user_id: UUID, month: date) -> Subquery:
    """Return a subquery: what one person has spent and holds reserved in a month, or null."""
    rows = BudgetPeriod.objects.filter(user_id=user_id, month=month)
    used = rows.values_list(F("spent") + F("reserved"), flat=True)
    return Subquery(used, output_field=BigIntegerField())


def reserve_tokens(
    user: User, tokens: int, *, least: int | None = None, now: datetime
) -> Reservation:
    """Set `tokens` aside, or as many as are left if these are at `least` so many.

    Raises BudgetExhausted, with when the budget resets, if they are not there.
    """
    month, limit = month_of(now), monthly_limit(user)
    least = tokens if least is None else min(least, tokens)
    wanted = tokens
    if _try_reserve(user, month, limit, wanted):
        return Reservation(month, wanted)
    # Not there yet, or used up. A month begins for everybody at once: in one statement.
    begun = BudgetPeriod(user=user, month=month, limit=limit)
    BudgetPeriod.objects.bulk_create([begun], ignore_conflicts=True)
    for _ in range(MAX_LOOKS):
        if _try_reserve(user, month, limit, wanted):
            return Reservation(month, wanted)
        # Used up; or another request was quicker.
        left = read_budget(user, now=now).remaining
        if left < least:
            raise _refusal(now, needed=least, left=left)
        wanted = min(tokens, left)
    # Many take of what is left at the same time: nobody is refused what is there for them.
    if _try_reserve(user, month, limit, least):
        return Reservation(month, least)
    raise _refusal(now, needed=least, left=read_budget(user, now=now).remaining)


def _try_reserve(user: User, month: date, limit: int, tokens: int) -> bool:
    values = {"user": user.pk, "month": month, "limit": limit, "tokens": tokens}
    return _reserve(**values, most=limit - tokens) == 1


def _refusal(now: datetime, *, needed: int, left: int) -> BudgetExhausted:
    resets_at = next_month(month_of(now))
    return BudgetExhausted(
        NOT_ENOUGH if left else None,
        retry_after_s=(resets_at - now).total_seconds(),
        detail={"resetsAt": resets_at.isoformat(), "needed": needed, "remaining": left},
    )


def settle_tokens(user_id: UUID, *, month: date, reserved: int, spent: int) -> None:
    """Turn a reservation into what was really used (0 releases it).

    That may be more than was reserved. Call it once, in the transaction that ends the generation:
    it is not idempotent by itself.
    """
    if _settle(user=user_id, month=month, reserved=reserved, spent=spent):
        return
    # Where nothing was reserved, a month may begin with this. Else somebody has deleted or changed
    # the row. What was used is charged all the same, and nothing that others reserved is owed for it.
    if reserved:
        logger.warning("The budget of %s in %s was out of step; see checkbudgets", user_id, month)
    limit = monthly_limit(User.objects.get(pk=user_id))
    BudgetPeriod.objects.get_or_create(user_id=user_id, month=month, defaults={"limit": limit})
    BudgetPeriod.objects.filter(user_id=user_id, month=month).update(
        reserved=Greatest(F("reserved") - reserved, 0), spent=F("spent") + spent
    )
