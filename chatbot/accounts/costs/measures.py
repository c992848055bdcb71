"""What is measured of calls: added up from the ledger, and from the roll-up itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from chatbot.accounts.costs import sketch
from chatbot.accounts.models import LedgerEntry

GROUP = ("plan", "purpose", "model")
SUMS = (
    "calls",
    "works",
    "fallbacks",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "cost_micros",
)


def measure(entries: QuerySet[LedgerEntry]) -> list[dict[str, Any]]:
    """Return the fields of `Measures` for each plan, purpose and model among these entries.

    All of it is read by one statement, as of one moment.
    """
    grouped = entries.annotate(bucket=sketch.select_bucket("first_token_ms")).values(
        *GROUP, "bucket"
    )
    parts = grouped.annotate(
        calls=Count("*"),
        works=Count("pk", filter=Q(models_asked__gt=0)),
        fallbacks=Count("pk", filter=Q(models_asked__gt=1)),
        **{f"sum_{name}": Sum(name) for name in SUMS[3:]},
    )
    return _by_group(_as_measures(part) for part in parts.order_by())


def _as_measures(part: dict[str, Any]) -> dict[str, Any]:
    sums = {name: int(part[f"sum_{name}"]) for name in SUMS[3:]}
    counts = {name: part[name] for name in (*GROUP, *SUMS[:3])}
    bucket = part["bucket"]
    return {
        **counts,
        **sums,
        "first_token": {} if bucket is None else {str(bucket): part["calls"]},
    }


def add_up(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """Return one row for each plan, purpose and model of rows of the roll-up."""
    return _by_group(rows.values(*GROUP, *SUMS, "first_token"))


def _by_group(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    total: dict[tuple[str, ...], dict[str, Any]] = {}
    for part in parts:
        key = tuple(part[name] for name in GROUP)
        if (one := total.get(key)) is None:
            total[key] = {**part, "first_token": dict(part["first_token"])}
            continue
        for name in SUMS:
            one[name] += part[name]
        sketch.add(one["first_token"], part["first_token"])
    return [total[key] for key in sorted(total)]
