"""A worker begins what its providers have slots for, and nothing else waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from threading import Event
from time import monotonic

import pytest
from django.db import OperationalError
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.admission import SlotAdmission, Work, take_work
from conversations.eventlog import EventLog
from conversations.events import EventType
from conversations.models import Generation, State
from llm.admission.desk import Desk
from llm.admission.memory import MemorySlots
from llm.admission.slots import Ask, Lane, View
from llm.conf import get_registry, get_slots, set_overrides
from llm.overrides import Override
from tests.conversations.conftest import ApiClient
from tests.conversations.lanes import enqueue, said_of_first
from tests.conversations.rows import fill_line
from tests.conversations.test_worker import follow_until
from tests.conversations.workers import working
from tests.degraded.device import eventually
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame, text_of

pytestmark = pytest.mark.django_db(transaction=True)


def look(lane: str) -> View:
    (view,) = get_slots().exchange([Ask(Lane(lane))], lease_ms=1)
    return view


async def rows(state: State) -> list[Generation]:
    return await db_call(lambda: list(Generation.objects.filter(state=state).order_by("due")))


async def ask_many(api: ApiClient, count: int, **conversation: str) -> list[list[Frame]]:
    ids = [await api.new_conversation(**conversation) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(api.send(one, "Hi")) for one in ids]
    return [task.result() for task in asking]


async def test_a_provider_that_takes_few_answers_all(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(tokens=5, token_ms=10)
    provider.limit(2)
    async with working(event_log, "only", concurrency=20):
        answers = await ask_many(api, 16)
    assert {text_of(frames) for frames in answers} == {"".join(f"leaf{n} " for n in range(5))}
    totals = provider.totals()
    assert totals["peak_serving"] == 2
    # Sixteen begin at once, before anything is known; then it is asked for less than half of what
    # would be too much if all of them asked again each time (12, 10, ... 2).
    assert totals["refused"] < 14 + 42 / 2
    found = await rows(State.COMPLETED)
    assert len(found) == 16
    # Nobody was lost: who was refused is claimed once more, and that is all.
    assert {row.claims for row in found} == {1}
    assert await db_call(look, "local") is not None


async def test_who_is_refused_waits_again_in_the_old_place(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.limit(1)
    provider.script(text="held", hold_after=1)
    async with working(event_log, "only", concurrency=4):
        first = await enqueue(api, "auto")
        await follow_until(event_log, first, EventType.DELTA)
        refused, later = [await enqueue(api, "auto") for _ in range(2)]
        places = {}
        for reference in (refused, later):
            await follow_until(event_log, reference, EventType.QUEUED)
            frames = await read_some(api, reference, EventType.QUEUED)
            places[reference["generationId"]] = frames[-1].data["position"]
        assert list(places.values()) == [1, 2]
        waiting = await rows(State.QUEUED)
        assert [str(row.pk) for row in waiting] == list(places)
        assert waiting[0].claims == 0
        provider.limit(None)
        provider.script(text="free again")
        provider.release()
        for reference in (first, refused, later):
            await follow_until(event_log, reference, EventType.DONE)


async def read_some(api: ApiClient, reference: dict[str, str], until: EventType) -> list[Frame]:
    frames = []
    async for frame in api.stream("get", f"/generations/{reference['generationId']}/events"):
        frames.append(frame)
        if frame.event == until:
            break
    return frames


async def test_one_that_waits_for_a_slot_can_be_stopped(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.limit(1)
    provider.script(text="held", hold_after=1)
    async with working(event_log, "only", concurrency=4):
        first = await enqueue(api, "auto")
        await follow_until(event_log, first, EventType.DELTA)
        refused = await enqueue(api, "auto")
        await follow_until(event_log, refused, EventType.QUEUED)
        await api.call("post", f"/generations/{refused['generationId']}/stop")
        await follow_until(event_log, refused, EventType.STOPPED)
        provider.release()
        await follow_until(event_log, first, EventType.DONE)


@said_of_first(limits="max_concurrency = 1")
async def test_a_full_lane_holds_up_no_other(
    api: ApiClient,
    two_lanes: None,
    event_log: EventLog,
    provider: ScriptedProvider,
    other: ScriptedProvider,
    settings: Settings,
) -> None:
    # Before anything has ended, ten seconds are guessed for each.
    settings.QUEUE_PATIENCE_S = 3600
    provider.script(text="held", hold_after=1)
    async with working(event_log, "only", concurrency=10):
        blocked = [await enqueue(api, "first") for _ in range(40)]
        await follow_until(event_log, blocked[0], EventType.DELTA)
        for frames in await ask_many(api, 3, model="second"):
            assert frames[-1].event == "done"
        assert provider.totals()["requests"] == 1
        assert len(await rows(State.QUEUED)) == 39
        provider.script(text="free again")
        provider.release()
        for reference in blocked:
            await follow_until(event_log, reference, EventType.DONE)
        assert provider.totals()["peak_serving"] == 1


@said_of_first(fallbacks='["second"]')
async def test_while_its_provider_rests_another_ones_slot_begins_an_answer(
    api: ApiClient,
    two_lanes: None,
    event_log: EventLog,
    provider: ScriptedProvider,
    other: ScriptedProvider,
) -> None:
    provider.script(status=429, retry_after="30")
    async with working(event_log, "only", concurrency=10):
        for frames in await ask_many(api, 5, model="first"):
            assert frames[-1].event == "done"
        asked = provider.totals()["requests"]
        for frames in await ask_many(api, 5, model="first"):
            assert frames[-1].event == "done"
            # The slot that came with the claim is for this model, and its name is the first told.
            begun = [frame.data for frame in frames if frame.event == "started"]
            assert [(one["model"], one["attempt"]) for one in begun] == [("second", 1)]
    # It asked to be left alone, and is.
    assert provider.totals()["requests"] == asked
    assert other.totals()["requests"] == 10


@pytest.fixture
def overridable(two_lanes: None) -> Iterator[None]:
    yield
    set_overrides({})


async def test_an_answer_whose_model_is_gone_is_not_claimed_over_and_over(
    api: ApiClient, overridable: None, event_log: EventLog, other: ScriptedProvider
) -> None:
    waiting = await enqueue(api, "first")
    set_overrides({"first": Override(is_off=True)})
    # Its stand-in asks for a pause.
    other.script({"status": 429, "retry_after": "3"}, text="after the pause")
    async with working(event_log, "only", concurrency=4):
        await follow_until(event_log, waiting, EventType.DONE)
    row = await db_call(Generation.objects.get, pk=waiting["generationId"])
    # Once before the pause, about once a second in it, and once after it.
    assert row.attempt <= 10


@said_of_first(fallbacks='["second"]')
async def test_who_waits_for_a_stand_in_does_not_ask_a_dead_model_meanwhile(
    api: ApiClient,
    two_lanes: None,
    event_log: EventLog,
    provider: ScriptedProvider,
    other: ScriptedProvider,
) -> None:
    provider.script(status=500)
    other.limit(1)
    other.script(text="held", hold_after=1)
    async with working(event_log, "only", concurrency=20):
        first = await enqueue(api, "first")
        await follow_until(event_log, first, EventType.DELTA)
        waiting = [await enqueue(api, "first") for _ in range(12)]
        # Its breaker is open once all have been refused.
        await follow_until(event_log, waiting[-1], EventType.QUEUED)
        asked = provider.totals()["requests"]
        await asyncio.sleep(3)
        # Who tries whether it is back asks once, and twice more.
        assert provider.totals()["requests"] - asked <= 6
        other.limit(None)
        other.script(text="free again")
        other.release()
        for reference in [first, *waiting]:
            await follow_until(event_log, reference, EventType.DONE)


@said_of_first(limits="max_concurrency = 1")
async def test_a_provider_that_asks_for_a_pause_gets_it(
    api: ApiClient, two_lanes: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"status": 429, "retry_after": "1"}, text="after the pause")
    async with working(event_log, "only", concurrency=4):
        (frames,) = await ask_many(api, 1, model="first")
    assert text_of(frames) == "after the pause"
    assert provider.totals()["requests"] == 2
    view = await db_call(look, "first")
    assert (view.refused, view.served, view.in_flight) == (1, 1, 0)


@said_of_first(limits="requests_per_minute = 60")
async def test_a_limit_per_minute_is_kept(
    api: ApiClient, two_lanes: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    began = monotonic()
    async with working(event_log, "only", concurrency=30):
        await ask_many(api, 13, model="first")
    # Ten go at once; the others follow one a second.
    assert monotonic() - began > 2


async def test_what_a_provider_says_of_its_limits_is_kept_to(
    api: ApiClient, two_lanes: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "2",
    }
    provider.script(text="limited", headers=headers)
    async with working(event_log, "only", concurrency=30):
        await ask_many(api, 1, model="first")
        began = monotonic()
        provider.script(text="limited")
        await ask_many(api, 5, model="first")
    # Two are left, and what a second brings.
    assert monotonic() - began > 1.5


async def test_slots_are_held_while_an_answer_is_written_and_no_longer(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(text="held", hold_after=1)
    async with working(event_log, "only", concurrency=4):
        references = [await enqueue(api, "auto") for _ in range(3)]
        for reference in references:
            await follow_until(event_log, reference, EventType.DELTA)
        assert (await db_call(look, "local")).in_flight == 3
        provider.release()
        for reference in references:
            await follow_until(event_log, reference, EventType.DONE)
    assert (await db_call(look, "local")).in_flight == 0


async def test_a_worker_that_drains_hands_its_slots_back(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(text="held", hold_after=1)
    async with working(event_log, "only", concurrency=4) as worker:
        reference = await enqueue(api, "auto")
        await follow_until(event_log, reference, EventType.DELTA)
        await worker.drain(grace_s=0)
        assert (await db_call(look, "local")).in_flight == 0


class SlowSlots(MemorySlots):
    """Slots that are granted when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = Event()
        self.is_asked = Event()

    def exchange(self, asks: Sequence[Ask], *, lease_ms: int) -> list[View]:
        self.is_asked.set()
        assert self.may_answer.wait(10)
        return super().exchange(asks, lease_ms=lease_ms)


async def test_a_look_for_work_that_was_given_up_keeps_no_slot_and_no_claim(
    user: User, models: None, settings: Settings
) -> None:
    await fill_line(user, 2)
    slots = SlowSlots()
    desk = Desk(slots, lease_s=15)
    admission = SlotAdmission(desk, lambda model: get_registry().lanes(model))

    def in_flight() -> int:
        desk.tell()
        (view,) = slots.exchange([Ask(Lane("local"))], lease_ms=1)
        return view.in_flight

    looking = spawn(db_call(take_work, admission, "slow", 5, but=None), name="a look for work")
    assert await asyncio.to_thread(slots.is_asked.wait, 10)
    looking.cancel()
    admission.give_up()
    with pytest.raises(asyncio.CancelledError):
        await looking
    # It goes on all the same, and shares nothing with another.
    with pytest.raises(OperationalError):
        await db_call(take_work, admission, "next", 5, but=None)
    slots.may_answer.set()
    found: list[Work] = []

    def look_again() -> bool:
        try:
            found.extend(take_work(admission, "next", 5, but=None).work)
        except OperationalError:
            return False
        return True

    await db_call(eventually, look_again, within_s=10)
    assert [work.claim.claims for work in found] == [1, 1]
    assert await db_call(in_flight) == 2
