from __future__ import annotations

import random

import pytest

from llm.admission.pace import Pace
from llm.admission.slots import View


def view(served: int, *, limit: float = 20, held_ms: float = 2_000) -> View:
    return View((), limit, 20, 0, served, 0, held_ms, 0)


def test_at_first_it_is_what_the_limit_would_give() -> None:
    pace = Pace()
    pace.note(view(0), 0)
    assert pace.per_second(view(0), most_at_once=100) == 10
    # As many at once as there are places for.
    assert pace.per_second(view(0), most_at_once=4) == 2


def test_nothing_known_is_a_slow_guess_and_never_none() -> None:
    assert Pace().per_second(view(0, limit=1, held_ms=0), most_at_once=0) == 0.1


def test_what_was_served_counts_more_with_each_look() -> None:
    pace = Pace()
    for second in range(60):
        pace.note(view(5 * second), second)
    assert pace.per_second(view(295), most_at_once=100) == pytest.approx(5, rel=0.1)


def test_what_is_long_over_counts_for_little() -> None:
    pace = Pace()
    for second in range(300):
        pace.note(view(20 * second), second)
    for second in range(300, 500):
        pace.note(view(6_000 + 2 * (second - 300)), second)
    assert pace.per_second(view(6_400), most_at_once=100) == pytest.approx(2, rel=0.5)


def test_a_line_that_was_empty_meanwhile_is_looked_at_anew() -> None:
    pace = Pace()
    for second in range(60):
        pace.note(view(50 * second), second)
    pace.note(view(10_000), 600)
    assert pace.per_second(view(10_000), most_at_once=100) == 10


def test_a_count_that_began_anew_is_noticed() -> None:
    pace = Pace()
    pace.note(view(1_000), 0)
    pace.note(view(3), 1)
    pace.note(view(8), 2)
    assert 3 < pace.per_second(view(8), most_at_once=100) < 12


@pytest.mark.parametrize("capacity", [4, 20])
def test_estimates_are_near_what_comes(capacity: int) -> None:
    draw = random.Random(capacity)  # noqa: S311 - the same course each time
    pace, errors, served = Pace(), [], 0
    ends = [draw.uniform(0.5, 4) for _ in range(capacity)]
    starts: list[float] = []
    while len(starts) < 400:
        at = min(ends)
        starts.append(at)
        ends[ends.index(at)] = at + draw.uniform(0.5, 4)
    for second in range(int(starts[-1] / 2)):
        served = sum(start <= second for start in starts)
        seen = view(served, limit=capacity, held_ms=2_250)
        pace.note(seen, second)
        for place in range(5, len(starts) - served, 7):
            guess = place / pace.per_second(seen, most_at_once=50)
            real = starts[served + place - 1] - second
            errors.append(abs(guess - real) / real)
    assert sorted(errors)[len(errors) // 2] < 0.15
