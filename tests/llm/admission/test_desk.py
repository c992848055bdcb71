"""A worker's slots: what happens to its calls is said in one go, and it goes on when alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llm.admission.desk import Desk, Held
from llm.admission.limiter import LaneState
from llm.admission.memory import MemorySlots
from llm.admission.slots import Ask, Lane, Quota, Rules, SlotsAway, View

LANE = Lane("provider", Rules(ceiling=3))
OTHER = Lane("other")


class Keeper(MemorySlots):
    """Slots in memory that count how often they were asked, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []
        self.is_away = False

    def exchange(self, asks: Sequence[Ask], *, lease_ms: int) -> list[View]:
        if self.is_away:
            raise SlotsAway
        self.asked.append([ask.lane.name for ask in asks])
        return super().exchange(asks, lease_ms=lease_ms)

    def look(self, lane: Lane = LANE) -> View:
        (view,) = super().exchange([Ask(lane)], lease_ms=1)
        return view


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def desk(keeper: Keeper) -> Desk:
    return Desk(keeper, lease_s=15)


def take(desk: Desk, count: int, lane: Lane = LANE) -> list[Held]:
    return [slot for slot in desk.take([(lane, 0)] * count) if slot is not None]


def test_slots_are_granted_in_the_order_in_which_they_are_wanted(desk: Desk) -> None:
    found = desk.take([(LANE, 0), (OTHER, 0), (LANE, 0), (LANE, 0), (LANE, 0), (OTHER, 0)])
    assert [slot is not None for slot in found] == [True, True, True, True, False, True]


def test_all_lanes_are_asked_at_once(desk: Desk, keeper: Keeper) -> None:
    desk.take([(LANE, 0), (OTHER, 0)] * 5)
    assert keeper.asked == [["provider", "other"]]


def test_what_happens_to_calls_is_said_with_the_next_that_is_asked(
    desk: Desk, keeper: Keeper
) -> None:
    first, second, third = take(desk, 3)
    desk.accepted(first)
    desk.accepted(second)
    desk.release(first)
    desk.refused(third, retry_after_s=None)
    assert len(keeper.asked) == 1
    assert take(desk, 1, OTHER)
    assert keeper.asked[1:] == [["provider", "other"]]
    view = keeper.look()
    assert (view.served, view.refused, view.in_flight) == (2, 1, 1)
    assert view.held_ms > 0


def test_nothing_is_asked_where_there_is_nothing_to_say(desk: Desk, keeper: Keeper) -> None:
    desk.tell()
    desk.renew()
    assert keeper.asked == []
    desk.put_back(take(desk, 1))
    desk.tell()
    assert keeper.look().in_flight == 0


def test_all_slots_are_renewed_in_one_go(desk: Desk, keeper: Keeper) -> None:
    desk.take([(LANE, 0), (OTHER, 0), (OTHER, 0)])
    desk.renew()
    assert len(keeper.asked) == 2


def test_a_slot_is_given_back_once(desk: Desk, keeper: Keeper) -> None:
    (slot,) = take(desk, 1)
    desk.refused(slot, retry_after_s=None)
    desk.release(slot)
    desk.tell()
    assert keeper.look().in_flight == 0
    assert keeper.look().held_ms == 0


def test_a_lower_ceiling_holds_at_once_also_for_slots_that_are_held(
    desk: Desk, keeper: Keeper
) -> None:
    first, second, _ = take(desk, 3)
    desk.release(first)
    lower = Lane(LANE.name, Rules(ceiling=1))
    assert take(desk, 1, lower) == []
    desk.accepted(second)
    desk.renew()
    assert keeper.look().limit == 1


def test_a_full_lane_is_shut_until_something_happens_in_it(desk: Desk) -> None:
    slots = take(desk, 4)
    assert desk.is_shut(LANE)
    assert not desk.is_shut(OTHER)
    desk.release(slots[0])
    assert not desk.is_shut(LANE)


def test_a_full_lane_is_asked_again_after_a_while(keeper: Keeper) -> None:
    now = 0.0
    desk = Desk(keeper, lease_s=15, clock=lambda: now)
    take(desk, 4)
    now = 0.9
    assert desk.is_shut(LANE)
    now = 1.1
    assert not desk.is_shut(LANE)


def test_a_lane_whose_provider_asks_for_it_rests(keeper: Keeper) -> None:
    now = 0.0
    desk, other_worker = (Desk(keeper, lease_s=15, clock=lambda: now) for _ in range(2))
    first, second = take(desk, 2)
    desk.refused(first, retry_after_s=7)
    assert desk.is_resting(LANE)
    assert desk.choose([LANE, OTHER]) == OTHER
    assert desk.choose([LANE]) == LANE
    # What ends in it meanwhile does not open it.
    desk.release(second)
    assert desk.is_shut(LANE)
    desk.tell()
    assert take(other_worker, 1) == []
    assert other_worker.is_resting(LANE)
    now = 7.1
    assert not desk.is_resting(LANE)


def test_where_a_provider_refuses_and_no_slot_is_free_others_are_asked_first(desk: Desk) -> None:
    wide = Lane("wide")
    first, second, *_ = take(desk, 100, wide)
    # A lane that is only full has its line.
    assert desk.choose([wide, OTHER]) == wide
    desk.refused(first, retry_after_s=None)
    assert desk.choose([wide, OTHER]) == wide
    assert take(desk, 1, wide) == []
    assert desk.turns_away(wide)
    assert desk.choose([wide, OTHER]) == OTHER
    assert desk.choose([wide]) == wide
    desk.accepted(second)
    assert desk.choose([wide, OTHER]) == wide


def test_what_was_not_used_of_a_calls_tokens_comes_back(keeper: Keeper) -> None:
    lane = Lane("metered", Rules(tokens_per_minute=6_000))
    desk = Desk(keeper, lease_s=15)
    (slot,) = desk.take([(lane, 1_000)])
    assert slot is not None
    assert desk.take([(lane, 1_000)]) == [None]
    desk.release(slot, used_tokens=10)
    assert desk.take([(lane, 900)]) != [None]


def test_a_provider_that_says_its_limits_is_heard(desk: Desk) -> None:
    (slot,) = take(desk, 1)
    desk.hear_quota(LANE, Quota(requests_per_minute=60, requests_left=1))
    assert len(take(desk, 2)) == 1
    desk.release(slot)


def test_a_worker_goes_on_alone_with_as_many_slots_as_it_holds(desk: Desk, keeper: Keeper) -> None:
    held = take(desk, 2, OTHER)
    keeper.is_away = True
    assert take(desk, 5, OTHER) == []
    assert desk.is_alone
    desk.release(held[0])
    assert len(take(desk, 5, OTHER)) == 1
    # Of a lane that it did not use it has one.
    assert len(take(desk, 5, Lane("new"))) == 1


def test_a_share_adapts_by_itself(desk: Desk, keeper: Keeper) -> None:
    held = take(desk, 2, OTHER)
    keeper.is_away = True
    desk.renew()
    for slot in held:
        desk.accepted(slot)
    assert len(take(desk, 5, OTHER)) == 2


def test_what_is_held_is_known_again_when_the_keeper_is_back(desk: Desk, keeper: Keeper) -> None:
    first, _ = take(desk, 2, OTHER)
    keeper.is_away = True
    desk.renew()
    desk.release(first)
    assert len(take(desk, 1, OTHER)) == 1
    # It may have forgotten everything.
    keeper.is_away = False
    keeper.seed(OTHER.name, LaneState())
    take(desk, 1)
    assert not desk.is_alone
    assert keeper.look(OTHER).in_flight == 2
