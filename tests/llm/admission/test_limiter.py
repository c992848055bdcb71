"""The limit finds what a provider takes, and a slot is a lease."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given, strategies as st

from llm.admission.limiter import FLOOR, MAX_REST_MS, START
from llm.admission.slots import Quota, Rules
from tests.llm.admission.lanes import LEASE_MS, OneLane


def test_a_lane_begins_with_a_moderate_limit() -> None:
    assert len(OneLane().take(500)) == START


def test_a_limit_that_is_used_doubles_with_each_round_until_it_is_refused() -> None:
    lane = OneLane()
    held = lane.take(500)
    assert lane.accept(held).limit == 2 * START


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    lane = OneLane()
    for _ in range(100):
        held = lane.take(3)
        lane.accept(held)
        lane.release(held)
    assert lane.ask().limit == START


def test_many_refusals_of_one_moment_halve_the_limit_once() -> None:
    lane = OneLane()
    held = lane.take(32)
    for slot in held[20:]:
        lane.refuse([slot])
    assert lane.ask().limit == 16
    # Those that were too many are known by then: it returns to what was taken, and slows down.
    lane.release(held[:20])
    assert 20 <= lane.accept(lane.take(16)).limit < 21


def test_a_refusal_counts_from_what_was_in_flight() -> None:
    lane = OneLane()
    held = lane.take(6)
    assert lane.refuse(held[:1]).limit == 3


def test_a_call_that_began_before_the_cut_does_not_undo_it() -> None:
    lane = OneLane()
    held = lane.take(32)
    lane.refuse(held[:1])
    assert lane.accept(held[1:]).limit == 16


def test_beyond_the_last_refusal_the_limit_grows_by_one_in_two_rounds() -> None:
    lane = OneLane()
    held = lane.take(32)
    lane.refuse(held[20:])
    lane.release(held[:20])
    limits = []
    for _ in range(4):
        held = lane.take(500)
        limits.append(lane.accept(held).limit)
        lane.release(held)
    assert 20 <= limits[0] < 21
    assert all(0.4 < later - limit < 0.6 for limit, later in pairwise(limits))


def test_a_limit_that_stays_unrefused_for_long_grows_fast_again() -> None:
    lane = OneLane()
    lane.refuse(lane.take(2))
    rounds = 0
    while lane.ask().limit < 200:
        held = lane.take(500)
        lane.accept(held)
        lane.release(held)
        lane.clock.now_ms += 10_000
        rounds += 1
    assert rounds < 25


def test_a_provider_that_refuses_its_only_call_is_left_alone_for_longer_and_longer() -> None:
    lane = OneLane()
    rests = []
    for _ in range(12):
        held = lane.take(500)
        view = lane.refuse(held)
        if view.rest_ms:
            assert lane.take(1) == []
        rests.append(view.rest_ms)
        lane.clock.now_ms += view.rest_ms
    assert rests[-6:] == sorted(rests[-6:])
    assert rests[-1] == 8_000
    assert lane.accept(lane.take(1)).limit > FLOOR


def test_a_lane_rests_for_as_long_as_its_provider_asks_for() -> None:
    lane = OneLane()
    lane.refuse(lane.take(1), retry_after_ms=3_000)
    lane.clock.now_ms += 2_999
    assert lane.take(1) == []
    lane.clock.now_ms += 1
    assert len(lane.take(1)) == 1


def test_a_provider_that_may_be_asked_again_at_once_is_left_alone_all_the_same() -> None:
    lane = OneLane()
    rests = [lane.refuse(lane.take(1), retry_after_ms=0).rest_ms]
    lane.clock.now_ms += rests[0]
    rests.append(lane.refuse(lane.take(1), retry_after_ms=20).rest_ms)
    assert rests == [500, 1_000]


def test_no_rest_is_longer_than_a_minute() -> None:
    lane = OneLane()
    assert lane.refuse(lane.take(1), retry_after_ms=3_600_000).rest_ms == MAX_REST_MS


def test_a_ceiling_is_never_passed() -> None:
    lane = OneLane(Rules(ceiling=5))
    held = lane.take(500)
    assert len(held) == 5
    assert lane.accept(held).limit == 5


def test_a_slot_that_is_not_renewed_is_free_after_its_lease() -> None:
    lane = OneLane(Rules(ceiling=2))
    first, second = lane.take(2)
    lane.clock.now_ms += LEASE_MS - 1
    assert lane.take(1) == []
    lane.ask(renew=[second])
    lane.clock.now_ms += 1
    assert lane.ask().in_flight == 1
    assert len(lane.take(2)) == 1
    # Whoever comes back with a call that is still open holds it again.
    assert lane.ask(renew=[first]).in_flight == 3


def test_requests_are_spread_over_the_minute() -> None:
    lane = OneLane(Rules(requests_per_minute=60))
    assert len(lane.take(500)) == 10
    lane.clock.now_ms += 1_000
    assert len(lane.take(500)) == 1
    lane.clock.now_ms += 60_000
    lane.ask(release=list(lane.numbers))
    assert len(lane.take(500)) == 10


def test_tokens_are_spread_over_the_minute_and_come_back_unused() -> None:
    lane = OneLane(Rules(tokens_per_minute=6_000))
    assert len(lane.take(9, tokens=300)) == 3
    lane.ask(tokens_back=500)
    assert len(lane.take(9, tokens=300)) == 2


def test_a_call_larger_than_the_bucket_goes_when_it_is_full() -> None:
    lane = OneLane(Rules(tokens_per_minute=600))
    assert len(lane.take(2, tokens=50_000)) == 1
    lane.clock.now_ms += 9_000
    assert lane.take(1, tokens=50_000) == []
    lane.clock.now_ms += 1_000
    assert len(lane.take(1, tokens=50_000)) == 1


def test_what_a_provider_says_of_its_limits_corrects_ours() -> None:
    lane = OneLane(Rules(requests_per_minute=600))
    lane.take(1)
    lane.hear(Quota(requests_per_minute=120, requests_left=4))
    assert len(lane.take(500)) == 4
    lane.clock.now_ms += 1_000
    assert len(lane.take(500)) == 2


def test_a_provider_that_says_its_limits_needs_none_of_ours() -> None:
    lane = OneLane()
    lane.take(1)
    lane.hear(Quota(tokens_per_minute=6_000, tokens_left=500))
    assert len(lane.take(500, tokens=250)) == 2


@pytest.mark.parametrize("capacity", [1, 3, 20, 70])
def test_a_provider_is_used_well_and_seldom_refuses(capacity: int) -> None:
    lane = OneLane()
    open_calls: deque[str] = deque()
    refused = served = used = steps = 0
    # Each step one call ends, and as many are begun as there are slots for.
    while served < 100 * capacity:
        steps += 1
        began = lane.take(500)
        fits = began[: capacity - len(open_calls)]
        lane.accept(fits)
        open_calls += fits
        if len(began) > len(fits):
            lane.refuse(began[len(fits) :])
        served += len(fits)
        refused += len(began) - len(fits)
        used += len(open_calls)
        lane.clock.now_ms += 10_000 // capacity
        if open_calls:
            lane.release([open_calls.popleft()])
        lane.ask(renew=list(open_calls))
    # In a hundred rounds of as many calls as it takes, it refuses less than one a round.
    assert refused < 100
    assert used / steps > 0.8 * capacity


steps = st.one_of(
    st.tuples(st.just("take"), st.integers(0, 60)),
    st.tuples(st.just("accept"), st.integers(0, 60)),
    st.tuples(st.just("refuse"), st.integers(0, 60)),
    st.tuples(st.just("release"), st.integers(0, 60)),
    st.tuples(st.just("wait"), st.integers(0, 20_000)),
)


@given(st.lists(steps, max_size=60), st.one_of(st.none(), st.integers(1, 40)))
def test_whatever_happens_the_limit_keeps_its_bounds(
    course: list[tuple[str, int]], ceiling: int | None
) -> None:
    lane = OneLane(Rules(ceiling=ceiling))
    unheard: list[str] = []
    held: list[str] = []
    for what, much in course:
        before = lane.ask()
        if what == "take":
            got = lane.take(much)
            assert len(got) <= max(0, floor(before.limit) - before.in_flight)
            unheard += got
        elif what == "accept":
            lane.accept(unheard[:much])
            held += unheard[:much]
            del unheard[:much]
        elif what == "refuse":
            view = lane.refuse(unheard[:much])
            if unheard[:much]:
                # Never more than a half at once, rounded down.
                assert view.limit >= max(FLOOR, floor(min(before.limit, before.in_flight) / 2))
            del unheard[:much]
        elif what == "release":
            lane.release(held[:much])
            del held[:much]
        else:
            lane.clock.now_ms += much
        after = lane.ask()
        assert after.limit >= FLOOR
        assert ceiling is None or after.limit <= ceiling
    lane.clock.now_ms += LEASE_MS
    # Whatever was forgotten, nothing is in flight for longer than a lease.
    assert lane.ask().in_flight == 0
