from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from moderation.rates import RAREST, rate_of, score_at


def test_scores_mean_what_is_promised() -> None:
    assert rate_of(0.5) == pytest.approx(0.01)
    assert rate_of(0.9) == pytest.approx(0.001)
    assert score_at(0.04) == pytest.approx(0.2103, abs=1e-4)


@given(st.floats(RAREST, 1.0))
def test_a_rate_becomes_a_score_and_the_rate_again(rate: float) -> None:
    assert rate_of(score_at(rate)) == pytest.approx(rate)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_is_never_more_frequent(one: float, other: float) -> None:
    assert rate_of(max(one, other)) <= rate_of(min(one, other))


def test_the_ends_have_rates_too() -> None:
    assert (rate_of(0.0), rate_of(1.0)) == (1.0, RAREST)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1.1, float("nan"), RAREST / 2])
def test_a_rate_that_cannot_be_promised_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        score_at(rate)
