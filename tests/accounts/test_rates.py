from __future__ import annotations

import pytest

from chatbot.accounts.rates import RateStatus, WindowStatus, open_windows, status_of
from tests.clocks import LimiterClock

RATES = ("20/m", "500/d")


def test_a_rate_is_read_as_django_ratelimit_reads_it() -> None:
    minute, day, quarter = open_windows("send", "me", [*RATES, "3/15m"])
    assert (minute.limit, minute.period_s) == (20, 60)
    assert (day.limit, day.period_s) == (500, 86_400)
    assert (quarter.limit, quarter.period_s) == (3, 900)


@pytest.mark.parametrize("value", ["me", "you", "019c0000-0000-7000-8000-000000000000"])
def test_a_window_has_one_key_until_it_resets(value: str, limiter_clock: LimiterClock) -> None:
    start = limiter_clock.now
    (now,) = open_windows("send", value, RATES[:1])
    assert 1 <= now.resets_in_s <= 60
    limiter_clock.now = start + now.resets_in_s - 1
    (last,) = open_windows("send", value, RATES[:1])
    assert (last.key, last.resets_in_s) == (now.key, 1)
    limiter_clock.now = start + now.resets_in_s
    (after,) = open_windows("send", value, RATES[:1])
    assert after.key != now.key
    assert after.resets_in_s == 60


def test_people_kinds_and_rates_have_counters_of_their_own() -> None:
    keys = {
        window.key
        for group in ("send", "request")
        for value in ("me", "you")
        for window in open_windows(group, value, RATES)
    }
    assert len(keys) == 8


def test_the_tightest_window_is_the_one_that_refuses() -> None:
    minute = WindowStatus("minute", 60, 20, 5, 30)
    day = WindowStatus("day", 86_400, 500, 3, 40_000)
    assert RateStatus((minute, day)).tightest == day
    both_full = RateStatus(
        (WindowStatus("minute", 60, 20, 0, 30), WindowStatus("day", 86_400, 500, 0, 9))
    )
    assert both_full.tightest.name == "minute"


def test_headers_tell_the_tightest_window_and_all_policies() -> None:
    windows = open_windows("send", "me", RATES)
    headers = status_of(windows, (20, 30)).headers()
    assert headers == {
        "RateLimit-Limit": "20",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(windows[0].resets_in_s),
        "RateLimit-Policy": "20;w=60, 500;w=86400",
    }
