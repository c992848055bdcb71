"""Entries of the ledger at a time of the test's choosing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from chatbot.accounts.models import LedgerEntry, Purpose, User


def moment(day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return a moment in January 2027."""
    return datetime(2027, 1, day, hour, minute, tzinfo=UTC)


def put_entry(created: datetime, user: User | None = None, **fields: Any) -> LedgerEntry:
    """Write a call of ten tokens that cost 100 micro-dollars, the only one of its answer."""
    values: dict[str, Any] = {
        "plan": user.plan if user else "free",
        "purpose": Purpose.ANSWER,
        "source": uuid4(),
        "number": 0,
        "model": "small",
        "provider": "one",
        "input_tokens": 6,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 4,
        "cost_micros": 100,
        "is_metered": True,
        "ending": "finished",
        "models_asked": 1,
        "first_token_ms": 500,
        "month": created.date().replace(day=1),
    }
    return LedgerEntry.objects.create(user=user, created=created, **{**values, **fields})
