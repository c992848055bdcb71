"""What a provider's Retry-After means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llm.providers.failures import describe, parse_retry_after

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.25", 0.25),
        ("-1", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert parse_retry_after(value, now=NOW) == seconds


def test_only_known_kinds_are_described():
    assert describe({"error": {"type": "overloaded_error"}}) == "overloaded_error"
    assert describe({"error": {"type": "user said hello"}}) == "unknown"
    assert describe("text") == "unknown"
