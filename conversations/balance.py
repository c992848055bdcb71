"""Whether budgets agree with what they are made of: the ledger, and the answers being written.

Every change of a budget changes these in the same transaction, so at any one moment the numbers
agree, also while the service runs. Where they do not, somebody or something else has changed one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, Sum, Value

from chatbot.accounts.budgets import monthly_limit
from chatbot.accounts.ledger import TOKENS
from chatbot.accounts.models import BudgetPeriod, LedgerEntry, User
from chatbot.audit.log import COMMAND_LINE, record
from conversations.models import Generation
from conversations.models.generation import ACTIVE_STATES

PEOPLE_AT_ONCE = 500
# A busy person's budget may change between the look and the mending.
MAX_TRIES = 10


@dataclass(frozen=True, slots=True)
class Balance:
    """One person's month: what the budget says, and what it should say."""

    user_id: UUID
    month: date
    reserved: int = 0
    spent: int = 0
    should_be_reserved: int = 0
    should_be_spent: int = 0

    @property
    def is_even(self) -> bool:
        return (self.reserved, self.spent) == (self.should_be_reserved, self.should_be_spent)

    def __str__(self) -> str:
        return (
            f"{self.user_id} {self.month:%Y-%m}: reserved {self.reserved:,} instead of "
            f"{self.should_be_reserved:,}, spent {self.spent:,} instead of "
            f"{self.should_be_spent:,}"
        )


def count_people() -> int:
    return User.objects.count()


def read_balances() -> Iterator[tuple[int, list[Balance]]]:
    """Yield, for some people at a time, how many these are and the balances that are not even."""
    after: UUID | None = None
    while True:
        more = User.objects.filter(pk__gt=after) if after else User.objects.all()
        people = list(more.order_by("pk").values_list("pk", flat=True)[:PEOPLE_AT_ONCE])
        if not people:
            return
        span = Q(user_id__gte=people[0], user_id__lte=people[-1])
        yield len(people), [one for one in _read(span) if not one.is_even]
        after = people[-1]


def mend(found: Balance) -> bool:
    """Set a budget to what it should be, by one UPDATE on the condition that it has not changed.

    While it is the same as when it was read, so is everything it should agree with. Returns False
    when it was changed again and again meanwhile; then nothing was done.
    """
    for _ in range(MAX_TRIES):
        _put_row(found)
        unchanged = BudgetPeriod.objects.filter(
            user_id=found.user_id, month=found.month, reserved=found.reserved, spent=found.spent
        )
        if _set(unchanged, found):
            return True
        now = [one for one in _read(Q(user_id=found.user_id)) if one.month == found.month]
        if not now or now[0].is_even:
            return True
        found = now[0]
    return False


@transaction.atomic
def _set(unchanged: QuerySet[BudgetPeriod], found: Balance) -> bool:
    """Set a budget, and tell the audit log in the same transaction; False if it has changed."""
    if not unchanged.update(reserved=found.should_be_reserved, spent=found.should_be_spent):
        return False
    record(
        COMMAND_LINE,
        "budget.mended",
        f"user:{found.user_id}",
        month=found.month.isoformat(),
        reserved=[found.reserved, found.should_be_reserved],
        spent=[found.spent, found.should_be_spent],
    )
    return True


def _put_row(found: Balance) -> None:
    user = User.objects.filter(pk=found.user_id).first()
    if user is not None:
        BudgetPeriod.objects.get_or_create(
            user=user, month=found.month, defaults={"limit": monthly_limit(user)}
        )


def _read(span: Q) -> list[Balance]:
    """Return the balances of people as of one moment: all is read by one statement."""
    budgets = BudgetPeriod.objects.filter(span).values_list(
        Value("budget"), "user_id", "month", "reserved", "spent"
    )
    active = Generation.objects.filter(span, state__in=ACTIVE_STATES)
    held = _sums(active, "held", "budget_month", reserved=Sum("reserved_tokens"), spent=Value(0))
    entries = LedgerEntry.objects.filter(span)
    used = _sums(entries, "used", "month", reserved=Value(0), spent=Sum(TOKENS))
    found: dict[tuple[UUID, date], Balance] = {}
    for kind, user_id, month, reserved, spent in budgets.union(held, used, all=True):
        one = found.get((user_id, month), Balance(user_id, month))
        if kind == "budget":
            one = replace(one, reserved=reserved, spent=spent)
        elif kind == "held":
            one = replace(one, should_be_reserved=reserved)
        else:
            one = replace(one, should_be_spent=spent)
        found[user_id, month] = one
    return list(found.values())


def _sums(
    rows: QuerySet[Any], kind: str, month: str, *, reserved: Any, spent: Any
) -> QuerySet[Any, Any]:
    grouped = rows.order_by().values("user_id", month)
    summed = grouped.annotate(kind=Value(kind), reserved_sum=reserved, spent_sum=spent)
    columns: QuerySet[Any, Any] = summed.values_list(
        "kind", "user_id", month, "reserved_sum", "spent_sum"
    )
    return columns
