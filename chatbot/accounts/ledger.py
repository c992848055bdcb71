"""The ledger: what each call to a model used and cost, and whom it was made for.

An entry is written in the transaction that charges its tokens to the month's budget, so that both
agree at every moment: what a person has spent in a month is the sum of their entries' tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Sum
from django.utils import timezone

from chatbot.accounts.budgets import month_of, settle_tokens
from chatbot.accounts.models import LedgerEntry, Purpose, User
from chatbot.core.ids import uuid7
from chatbot.core.prepared import insert

# What counts against a budget: everything that a provider bills.
TOKENS = F("input_tokens") + F("cache_read_tokens") + F("cache_write_tokens") + F("output_tokens")


class Used(Protocol):
    """Tokens of one call; `input_tokens` excludes what was read from or written to a cache."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def cache_read_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def total_tokens(self) -> int: ...


class Billed(Protocol):
    """A call as the ledger needs it; `llm.pricing.Call` is one."""

    @property
    def model(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def usage(self) -> Used: ...
    @property
    def cost_micros(self) -> int: ...
    @property
    def is_metered(self) -> bool: ...
    @property
    def ending(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, on which plan, and out of which month's budget."""

    user_id: UUID | None
    plan: str
    month: date


def settle_calls(
    payer: Payer,
    calls: Sequence[Billed],
    *,
    source: UUID,
    reserved: int,
    first_token_ms: int | None = None,
    has_earlier: bool = False,
) -> None:
    """Charge the calls made for an answer in place of what was reserved, and write them down.

    `source` is the generation. Call it once, in the transaction that ends the generation.
    `has_earlier`: some of its calls were charged before, by `charge_calls`.
    """
    assert payer.user_id is not None
    settle_tokens(payer.user_id, month=payer.month, reserved=reserved, spent=_sum(calls))
    first = _count_calls(source) if has_earlier else 0
    _write(
        payer,
        Purpose.ANSWER,
        calls,
        source=source,
        first=first,
        first_token_ms=first_token_ms,
    )


def charge_calls(payer: Payer, calls: Sequence[Billed], *, source: UUID) -> None:
    """Charge calls for an answer that is not over yet, beside what is reserved for all of it.

    Call it in the transaction in which whoever made them lets the generation go.
    """
    assert payer.user_id is not None
    settle_tokens(payer.user_id, month=payer.month, reserved=0, spent=_sum(calls))
    _write(payer, Purpose.ANSWER, calls, source=source, first=_count_calls(source), is_over=False)


def _count_calls(source: UUID) -> int:
    return LedgerEntry.objects.filter(source=source, purpose=Purpose.ANSWER).count()


def record_calls(
    user: User,
    purpose: Purpose,
    calls: Sequence[Billed],
    *,
    source: UUID | None = None,
    now: datetime | None = None,
) -> bool:
    """Charge and write down calls that nothing was reserved for, such as those for a title.

    With a `source`, such as the conversation that was summarised, work that is done again is
    charged once; the return value says whether this was the first time. Calls for somebody who is
    gone meanwhile are written down without a name.
    """
    source = source or uuid7()
    payer = Payer(user.pk, user.plan, month_of(now or timezone.now()))
    try:
        return _charge(payer, purpose, calls, source=source)
    except (IntegrityError, User.DoesNotExist):
        # Erased at this moment, or charged at this moment by another who does the same work.
        if not User.objects.filter(pk=user.pk).exists():
            return _charge(replace(payer, user_id=None), purpose, calls, source=source)
        if _is_charged(purpose, source):
            return False
        raise


@transaction.atomic
def _charge(payer: Payer, purpose: Purpose, calls: Sequence[Billed], *, source: UUID) -> bool:
    if _is_charged(purpose, source):
        return False
    if payer.user_id is not None:
        settle_tokens(payer.user_id, month=payer.month, reserved=0, spent=_sum(calls))
    _write(payer, purpose, calls, source=source)
    return True


def _is_charged(purpose: Purpose, source: UUID) -> bool:
    return LedgerEntry.objects.filter(source=source, purpose=purpose).exists()


def _sum(calls: Sequence[Billed]) -> int:
    return sum(call.usage.total_tokens for call in calls)


def _write(
    payer: Payer,
    purpose: Purpose,
    calls: Sequence[Billed],
    *,
    source: UUID,
    first: int = 0,
    first_token_ms: int | None = None,
    is_over: bool = True,
) -> None:
    if not calls:
        return
    entries = [
        LedgerEntry(
            user_id=payer.user_id,
            plan=payer.plan,
            purpose=purpose,
            source=source,
            number=number,
            model=call.model,
            provider=call.provider,
            input_tokens=call.usage.input_tokens,
            cache_read_tokens=call.usage.cache_read_tokens,
            cache_write_tokens=call.usage.cache_write_tokens,
            output_tokens=call.usage.output_tokens,
            cost_micros=call.cost_micros,
            is_metered=call.is_metered,
            ending=call.ending,
            month=payer.month,
        )
        for number, call in enumerate(calls, start=first)
    ]
    if is_over:
        last = entries[-1]
        last.models_asked = len({call.model for call in calls})
        last.first_token_ms = first_token_ms
    insert(*entries)


def list_usage(user: User) -> list[dict[str, Any]]:
    """Return what a person used, summed up by month, purpose and model."""
    grouped = LedgerEntry.objects.filter(user=user).values("month", "purpose", "model")
    summed = grouped.annotate(
        calls=Count("pk"),
        input=Sum("input_tokens"),
        cache_read=Sum("cache_read_tokens"),
        cache_write=Sum("cache_write_tokens"),
        output=Sum("output_tokens"),
        cost=Sum("cost_micros"),
    )
    return [
        {
            "month": f"{one['month']:%Y-%m}",
            "purpose": one["purpose"],
            "model": one["model"],
            "calls": one["calls"],
            "inputTokens": one["input"],
            "cacheReadTokens": one["cache_read"],
            "cacheWriteTokens": one["cache_write"],
            "outputTokens": one["output"],
            "costMicros": int(one["cost"]),
        }
        for one in summed.order_by("month", "purpose", "model")
    ]
