"""Micro-dollars as dollars, without a float in between."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

CENT = Decimal("0.01")


def dollars(micros: int) -> Decimal:
    """Return exactly so many millionths of a dollar, with six places."""
    return Decimal(micros).scaleb(-6)


def format_dollars(micros: int) -> str:
    """Return an amount to read: to the cent, or exactly where it is less than a cent."""
    amount = dollars(micros)
    if 0 < amount < CENT:
        return f"${amount.normalize():f}"
    return f"${amount.quantize(CENT, ROUND_HALF_EVEN):,f}"
