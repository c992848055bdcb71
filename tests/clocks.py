from __future__ import annotations

from dataclasses import dataclass

NOW = 1_800_000_000.0


@dataclass(slots=True)
class LimiterClock:
    """The time of the rate limits, in seconds since the epoch. It moves when it is told to."""

    now: float = NOW
