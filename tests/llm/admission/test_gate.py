"""Each call has a slot, and what became of it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

import pytest

from chatbot.core.tasks import spawn
from llm.admission.desk import Desk, Held
from llm.admission.gate import SlotGate
from llm.admission.memory import MemorySlots
from llm.admission.slots import Ask, Lane, Quota, Rules, View
from llm.catalog import ModelSpec
from llm.catalog_file import load_catalog
from llm.errors import ProviderBusy, ProviderError, ProviderOverloaded, ProviderUnavailable
from llm.gate import OpenGate
from tests.degraded.device import eventually

FIRST = replace(load_catalog().models[0], name="first")
SECOND = replace(FIRST, name="second")
LANES = {"first": Lane("first", Rules(ceiling=1)), "second": Lane("second", Rules(ceiling=1))}


class Listener(OpenGate):
    """A gate for all answers that keeps what it hears."""

    def __init__(self) -> None:
        self.heard_errors: list[ProviderError | None] = []

    def leave(self, spec: ModelSpec, error: ProviderError | None, *, was_heard: bool) -> None:
        self.heard_errors.append(error)


class SlowSlots(MemorySlots):
    """Slots that are granted when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = Event()
        self.is_asked = Event()
        self.may_answer.set()

    def exchange(self, asks: Sequence[Ask], *, lease_ms: int) -> list[View]:
        self.is_asked.set()
        assert self.may_answer.wait(10)
        return super().exchange(asks, lease_ms=lease_ms)


@pytest.fixture
def slots() -> SlowSlots:
    return SlowSlots()


@pytest.fixture
def desk(slots: SlowSlots) -> Desk:
    return Desk(slots, lease_s=15)


def gate_of(desk: Desk, slot: Held | None = None, inner: OpenGate | None = None) -> SlotGate:
    return SlotGate(
        desk,
        slot,
        lane_of=lambda spec: LANES[spec.name],
        tokens=0,
        on_news=lambda lane: None,
        inner=inner or OpenGate(),
    )


def in_flight(slots: MemorySlots, lane: str) -> int:
    (view,) = MemorySlots.exchange(slots, [Ask(LANES[lane])], lease_ms=1)
    return view.in_flight


async def test_the_slot_that_came_with_the_claim_serves_the_first_call(desk: Desk) -> None:
    (slot,) = desk.take([(LANES["first"], 0)])
    gate = gate_of(desk, slot)
    await gate.enter(FIRST)
    gate.leave(FIRST, ProviderUnavailable(), was_heard=False)
    # And the next one to the same model.
    await gate.enter(FIRST)
    assert not gate.may_wait


async def test_a_call_to_another_provider_takes_a_slot_there(desk: Desk, slots: SlowSlots) -> None:
    (slot,) = desk.take([(LANES["first"], 0)])
    gate = gate_of(desk, slot)
    await gate.enter(FIRST)
    gate.leave(FIRST, ProviderUnavailable(), was_heard=False)
    await gate.enter(SECOND)
    assert (in_flight(slots, "first"), in_flight(slots, "second")) == (0, 1)
    gate.close()
    desk.tell()
    assert in_flight(slots, "second") == 0


async def test_without_a_slot_there_is_no_call(desk: Desk) -> None:
    desk.take([(LANES["second"], 0)])
    gate = gate_of(desk)
    with pytest.raises(ProviderBusy):
        await gate.enter(SECOND)
    assert gate.was_busy
    assert gate.may_wait


async def test_a_refused_call_gives_its_slot_up_and_is_no_failure_of_the_model(
    desk: Desk, slots: SlowSlots
) -> None:
    listener = Listener()
    gate = gate_of(desk, inner=listener)
    lane = Lane("roomy")
    (slot,) = desk.take([(lane, 0)])
    gate = SlotGate(
        desk, slot, lane_of=lambda spec: lane, tokens=0, on_news=lambda lane: None, inner=listener
    )
    await gate.enter(FIRST)
    gate.leave(FIRST, ProviderOverloaded(retry_after_s=9), was_heard=False)
    assert gate.was_refused
    assert listener.heard_errors == [None]
    assert desk.is_resting(lane)
    # The provider is left alone, without anybody being asked.
    with pytest.raises(ProviderBusy):
        await gate.enter(FIRST)


async def test_who_refuses_even_one_call_fails(desk: Desk) -> None:
    listener = Listener()
    (slot,) = desk.take([(LANES["first"], 0)])
    gate = gate_of(desk, slot, listener)
    await gate.enter(FIRST)
    error = ProviderOverloaded()
    gate.leave(FIRST, error, was_heard=False)
    assert listener.heard_errors == [error]


async def test_an_overload_after_the_first_text_refuses_nothing(desk: Desk) -> None:
    (slot,) = desk.take([(LANES["first"], 0)])
    gate = gate_of(desk, slot)
    await gate.enter(FIRST)
    gate.heard(FIRST)
    gate.leave(FIRST, ProviderOverloaded(), was_heard=True)
    assert not gate.may_wait


async def test_models_whose_provider_rests_come_last(desk: Desk) -> None:
    (slot,) = desk.take([(LANES["first"], 0)])
    assert slot is not None
    desk.refused(slot, retry_after_s=5)
    assert await gate_of(desk).arrange([FIRST, SECOND]) == [SECOND, FIRST]


async def test_a_slot_that_comes_after_its_answer_was_cancelled_is_given_back(
    desk: Desk, slots: SlowSlots
) -> None:
    slots.may_answer.clear()
    entering = spawn(gate_of(desk).enter(SECOND), name="entering")
    await asyncio.to_thread(slots.is_asked.wait, 10)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    slots.may_answer.set()

    def is_back() -> bool:
        desk.tell()
        return in_flight(slots, "second") == 0

    await asyncio.to_thread(eventually, is_back, within_s=10)


async def test_what_a_provider_tells_of_its_limits_reaches_its_lane(desk: Desk) -> None:
    lane = Lane("told")
    (slot,) = desk.take([(lane, 0)])
    gate = SlotGate(
        desk, slot, lane_of=lambda spec: lane, tokens=0, on_news=lambda lane: None, inner=OpenGate()
    )
    gate.told(FIRST, Quota(requests_per_minute=60, requests_left=1))
    assert [one is not None for one in desk.take([(lane, 0)] * 3)] == [True, False, False]
    await gate.aclose()
