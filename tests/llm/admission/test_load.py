from __future__ import annotations

from hypothesis import given, strategies as st

from llm.admission.load import (
    KEEP_MS,
    MARKS,
    NAME,
    READ_EVERY_S,
    SLOWEST,
    LaneLoad,
    LoadReader,
    decode,
    encode,
    pick_marks,
    speed_of,
)
from llm.admission.memory import MemorySlots
from llm.admission.slots import SlotsAway

LOAD = LaneLoad({"free": 4}, 2.0, [(100.0, 1), (110.0, 3), (120.0, 4)], 105.0, 130.0, 0.5)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def reader_of(slots: MemorySlots) -> tuple[LoadReader, Clock]:
    clock = Clock()
    return LoadReader(slots, clock), clock


def test_a_wait_is_that_of_those_who_are_due_before() -> None:
    assert LOAD.wait_s(99) == 0
    assert LOAD.wait_s(112) == 1.5
    assert LOAD.wait_s(500) == LOAD.longest_wait_s == 2


def test_a_lines_time_passes_at_its_speed_and_is_never_ahead() -> None:
    assert LOAD.virtual_time(130) == 105
    assert LOAD.virtual_time(140) == 110
    assert LaneLoad({}, 1.0, [], 100.0, 100.0, 1.0).virtual_time(90) == 90


def test_a_line_takes_as_long_for_a_step_as_for_a_round() -> None:
    # Ten people and two calls a second: a round takes five seconds.
    assert speed_of(per_second=2, people=10, step_s=10) == 1
    # A hundred: fifty seconds, in which its time passes by ten.
    assert speed_of(per_second=2, people=100, step_s=10) == 0.2
    assert speed_of(per_second=0.01, people=10_000, step_s=10) == SLOWEST


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300).map(sorted))
def test_marks_have_both_ends_and_are_in_order(dues: list[float]) -> None:
    marks = pick_marks(dues)
    assert len(marks) <= MARKS
    assert marks[0] == (dues[0], 1)
    assert marks[-1] == (dues[-1], len(dues))
    assert marks == sorted(marks)


def test_figures_survive_their_way() -> None:
    assert decode(encode({"lane": LOAD}))["lane"].wait_s(112) == LOAD.wait_s(112)


def test_figures_are_read_once_a_second() -> None:
    slots = MemorySlots()
    reader, clock = reader_of(slots)
    assert reader.look("lane") is None
    slots.publish(NAME, encode({"lane": LOAD}), keep_ms=KEEP_MS)
    assert reader.look("lane") is None
    clock.now += READ_EVERY_S
    assert reader.look("lane") is not None
    assert reader.look("other") is None


def test_what_was_accepted_since_counts_until_the_next_figures() -> None:
    slots = MemorySlots()
    reader, clock = reader_of(slots)
    slots.publish(NAME, encode({"lane": LOAD}), keep_ms=KEEP_MS)
    reader.look("lane")
    reader.count("lane", "free")
    reader.count("lane", "pro")
    assert (reader.waiting("lane", "free"), reader.waiting("lane", "pro")) == (5, 1)
    # The same figures again say nothing new.
    clock.now += READ_EVERY_S
    reader.look("lane")
    assert reader.waiting("lane", "free") == 5
    slots.publish(NAME, encode({"lane": LOAD, "other": LOAD}), keep_ms=KEEP_MS)
    clock.now += READ_EVERY_S
    reader.look("lane")
    assert reader.waiting("lane", "free") == 4


def test_without_their_keeper_there_are_no_figures() -> None:
    slots = MemorySlots()
    slots.publish(NAME, encode({"lane": LOAD}), keep_ms=KEEP_MS)
    reader, clock = reader_of(slots)
    assert reader.look("lane") is not None

    class Away(MemorySlots):
        def read(self, name: str) -> bytes | None:
            raise SlotsAway

    reader.slots = Away()
    clock.now += READ_EVERY_S
    assert reader.look("lane") is None
