"""Rates such as 20/m as windows of time, with django-ratelimit's syntax, arithmetic and keys.

django-ratelimit itself asks its cache two or three times for each rate, and counts a request in one
window that the next one refuses. Here the same counters, under the same keys, are left to
`chatbot.core.counters`, which takes one round trip for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import caches
from django_ratelimit.core import (
    ALL,
    EXPIRATION_FUDGE,
    _get_window,
    _make_cache_key,
    _split_rate,
)

from chatbot.core.counters import Counter

_NAMES = {60: "minute", 86_400: "day"}


@dataclass(frozen=True, slots=True)
class Window:
    """A rate's present window: at most `limit` until it ends, in `resets_in_s` seconds."""

    period_s: int
    limit: int
    resets_in_s: int
    key: str

    @property
    def counter(self) -> Counter:
        return Counter(self.key, self.limit, self.period_s + EXPIRATION_FUDGE)


def open_windows(group: str, value: str, rates: Sequence[str]) -> tuple[Window, ...]:
    """Return the windows that a request of `value` falls into now, one for each rate."""
    return tuple(_open(group, value, rate) for rate in rates)


def _open(group: str, value: str, rate: str) -> Window:
    limit, period_s = parsed = _split_rate(rate)
    end = _get_window(value, period_s)
    key = caches["default"].make_key(_make_cache_key(group, end, parsed, value, ALL))
    # The second in which a window ends still belongs to it.
    return Window(period_s, limit, end - int(time.time()) + 1, key)


@dataclass(frozen=True, slots=True)
class WindowStatus:
    """How a window stands: its name, how many it lets through, how many are left."""

    name: str
    period_s: int
    limit: int
    remaining: int
    resets_in_s: int


@dataclass(frozen=True, slots=True)
class RateStatus:
    """How all windows of one kind of request stand."""

    windows: tuple[WindowStatus, ...]

    @property
    def tightest(self) -> WindowStatus:
        """The window that refuses first, or for longest."""
        return min(self.windows, key=lambda window: (window.remaining, -window.resets_in_s))

    def headers(self) -> dict[str, str]:
        """Return what HTTP says of it (draft-ietf-httpapi-ratelimit-headers-06).

        Later drafts put the same into one structured field, which few clients read.
        """
        tightest = self.tightest
        policies = (f"{window.limit};w={window.period_s}" for window in self.windows)
        return {
            "RateLimit-Limit": str(tightest.limit),
            "RateLimit-Remaining": str(tightest.remaining),
            "RateLimit-Reset": str(tightest.resets_in_s),
            "RateLimit-Policy": ", ".join(policies),
        }


def status_of(windows: Sequence[Window], counts: Sequence[int]) -> RateStatus:
    return RateStatus(
        tuple(
            WindowStatus(
                name=_NAMES.get(window.period_s, f"{window.period_s} s"),
                period_s=window.period_s,
                limit=window.limit,
                remaining=max(0, window.limit - count),
                resets_in_s=window.resets_in_s,
            )
            for window, count in zip(windows, counts, strict=True)
        )
    )
