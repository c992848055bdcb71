from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from chatbot.accounts.costs import sketch
from chatbot.accounts.models import LedgerEntry
from tests.accounts.ledger_rows import moment, put_entry

TIMES = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=200)
# The value is rounded to a whole millisecond as well.
ROUNDING_MS = 0.5 + 1e-6


def counted(times: list[int]) -> dict[str, int]:
    histogram: dict[str, int] = {}
    for one in times:
        sketch.add(histogram, {str(sketch.bucket_of(one)): 1})
    return histogram


@given(TIMES, st.integers(1, 100))
def test_a_percentile_is_within_the_stated_error(times: list[int], percent: int):
    exact = sorted(times)[math.ceil(percent * len(times) / 100) - 1]
    found = sketch.percentile(counted(times), percent)
    assert found is not None
    assert abs(found - max(1, exact)) <= sketch.RELATIVE_ERROR * exact + ROUNDING_MS


@given(TIMES, TIMES)
def test_parts_that_are_added_are_the_whole(some: list[int], others: list[int]):
    total = counted(some)
    sketch.add(total, counted(others))
    assert total == counted(some + others)


def test_of_nothing_there_is_no_percentile():
    assert sketch.percentile({}, 50) is None


def test_whatever_a_column_holds_there_are_few_buckets():
    assert sketch.bucket_of(2**31 - 1) == 538


@pytest.mark.django_db
def test_the_database_finds_the_same_buckets():
    times = [0, 1, 2, 3, 10, 99, 100, 101, 499, 800, 1_234, 60_000, 2**31 - 1]
    for number, one in enumerate(times):
        put_entry(moment(1), number=number, first_token_ms=one)
    put_entry(moment(1), first_token_ms=None)
    found = LedgerEntry.objects.annotate(bucket=sketch.select_bucket("first_token_ms"))
    buckets = dict(found.values_list("first_token_ms", "bucket"))
    assert buckets.pop(None) is None
    assert buckets == {one: sketch.bucket_of(one) for one in times}
