"""How much a person may ask of the API, counted the same for HTTP and WebSocket.

Sends have a limit for a minute and one for a day, by plan; whoever is slowed has a quarter of both.
Everything else has a wide one, which
protects the service from a program gone wild. With Redis away each process counts for itself, or
sends are refused: RATE_LIMIT_WITHOUT_REDIS says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from chatbot.accounts.models import User
from chatbot.accounts.rates import RateStatus, Window, open_windows, status_of
from chatbot.core.counters import Counter, give_back, look, take
from chatbot.core.errors import RateLimited, Unavailable
from chatbot.core.stores import RETRY_AFTER_S

# What is left of the limits of sending to a person who is slowed.
SLOW_SHARE = 4
PERIODS = {"minute": "a minute", "day": "a day"}


@dataclass(frozen=True, slots=True)
class CountedSend:
    """A send that was counted, and how the limits stand since."""

    rate: RateStatus
    counters: tuple[Counter, ...]

    def forget(self) -> None:
        """Count it no more: what was to be sent was refused, or had been sent before."""
        give_back(self.counters)


def count_send(user: User) -> CountedSend:
    """Count one send, in all windows or, when it is refused, in none.

    Raises RateLimited, with when to try again, beyond the plan's limits; Unavailable where sends
    are refused while they cannot be counted for all processes together.
    """
    windows = _send_windows(user)
    slowed_until = user.slowed_until if user.is_slowed else None
    rate = _count(windows, "messages", needs_all=True, slowed_until=slowed_until)
    return CountedSend(rate, _counters(windows))


def read_rate(user: User) -> RateStatus:
    """Return how the limits of sending stand."""
    windows = _send_windows(user)
    return status_of(windows, look(_counters(windows)))


def count_request(user: User) -> None:
    """Count one request that is no send, a refused send among them. Raises RateLimited."""
    rates = [f"{settings.REQUESTS_PER_MINUTE}/m"]
    _count(open_windows("request", str(user.pk), rates), "requests", needs_all=False)


def _send_windows(user: User) -> tuple[Window, ...]:
    share = SLOW_SHARE if user.is_slowed else 1
    minute = max(1, settings.SENDS_PER_MINUTE[user.plan] // share)
    day = max(1, settings.SENDS_PER_DAY[user.plan] // share)
    rates = (f"{minute}/m", f"{day}/d")
    return open_windows("send", str(user.pk), rates)


def _counters(windows: Sequence[Window]) -> tuple[Counter, ...]:
    return tuple(window.counter for window in windows)


def _count(
    windows: Sequence[Window], what: str, *, needs_all: bool, slowed_until: datetime | None = None
) -> RateStatus:
    taken = take(_counters(windows))
    if taken.is_alone and needs_all and settings.RATE_LIMIT_WITHOUT_REDIS == "refuse":
        raise Unavailable(retry_after_s=RETRY_AFTER_S)
    rate = status_of(windows, taken.counts)
    if taken.is_full:
        raise _refusal(rate, what, slowed_until)
    return rate


def _refusal(rate: RateStatus, what: str, slowed_until: datetime | None) -> RateLimited:
    full = max(
        (window for window in rate.windows if not window.remaining),
        key=lambda window: window.resets_in_s,
    )
    sentence = f"You may send {full.limit:,} {what} in {PERIODS[full.name]}, and you have."
    detail: dict[str, Any] = {"window": full.name, "limit": full.limit}
    if slowed_until is not None:
        sentence = f"You are slowed down for a while. {sentence}"
        detail["slowedUntil"] = slowed_until.isoformat()
    return RateLimited(
        sentence,
        retry_after_s=full.resets_in_s,
        detail=detail,
        headers=rate.headers(),
    )
