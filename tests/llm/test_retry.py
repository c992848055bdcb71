from __future__ import annotations

import pytest

from llm.errors import ProviderRateLimited, ProviderRejected, ProviderUnavailable
from llm.retry import MAX_RETRIES, RetryBudget, retry_delay_s


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def count_retries(budget: RetryBudget) -> int:
    count = 0
    while budget.take("one"):
        count += 1
    return count


def test_retries_are_a_fifth_of_calls_and_ten_a_second_besides():
    clock = Clock()
    budget = RetryBudget(clock=clock)
    assert count_retries(budget) == 100
    for _ in range(51):
        budget.note_call("one")
    assert count_retries(budget) == 10
    clock.now = 2.0
    assert count_retries(budget) == 20
    # Another provider's calls are no concern of these.
    budget.note_call("other")
    assert count_retries(budget) == 0
    clock.now = 1_000.0
    assert count_retries(budget) == 100


def longest(low: float, high: float) -> float:
    return high


def test_delays_grow_and_are_jittered_over_their_whole_range():
    error = ProviderUnavailable()
    assert retry_delay_s(error, attempt=0, uniform=longest) == 0.5
    assert retry_delay_s(error, attempt=1, uniform=longest) == 1.0
    assert retry_delay_s(error, attempt=1, uniform=lambda low, high: low) == 0


def test_gives_up_after_the_last_retry():
    assert retry_delay_s(ProviderUnavailable(), attempt=MAX_RETRIES) is None


def test_never_retries_what_was_rejected():
    assert retry_delay_s(ProviderRejected(), attempt=0) is None


@pytest.mark.parametrize("wanted", [0.0, 3.0, 8.0])
def test_waits_at_least_as_long_as_the_provider_asks(wanted):
    delay = retry_delay_s(ProviderRateLimited(retry_after_s=wanted), attempt=0)
    assert delay is not None
    assert wanted <= delay <= wanted + 0.5


def test_gives_up_when_the_provider_asks_for_more_patience_than_readers_have():
    assert retry_delay_s(ProviderRateLimited(retry_after_s=8.1), attempt=0) is None
