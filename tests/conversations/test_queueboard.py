"""Places in line, told to those who still wait, and figures for those who are to come."""

from __future__ import annotations

from typing import Any

import pytest

from chatbot.accounts.models import Plan, User
from chatbot.core.db import db_call
from conversations.claims import Claim, claim_waiting, hand_over
from conversations.eventlog import LogAway, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import START, Cursor, Event, EventType
from conversations.models import Generation
from conversations.queueboard import QueueBoard
from conversations.workers import WorkerLoad, report_worker
from llm.admission.load import NAME, LaneLoad, decode
from llm.admission.memory import MemorySlots
from llm.admission.pace import FIRST_GUESS_MS
from llm.admission.slots import Ask, Lane, Wish
from tests.conversations.logs import follow, key_of
from tests.conversations.rows import queue_generation
from tests.factories import make_person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("models")]

LANE = Lane("local")


@pytest.fixture
def slots() -> MemorySlots:
    return MemorySlots()


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def board(log: MemoryEventLog, slots: MemorySlots) -> QueueBoard:
    return QueueBoard(log, slots, "one")


async def wait_in_line(user: User, **fields: Any) -> Generation:
    return await db_call(queue_generation, user, routed_model="smollm2-135m", **fields)


async def claim_next() -> Claim:
    (claim,) = await db_call(claim_waiting, "worker", 1)
    return claim


async def told(log: MemoryEventLog, generation: Generation) -> list[tuple[str, Any]]:
    """Return the ids and places in the log of a generation."""
    key = key_of(generation)
    if not await log.read(key):
        return []
    batch = await anext(follow(log, key, START, idle_s=1))
    return [(str(event.cursor), event.data.get("position")) for event in batch]


def loads(slots: MemorySlots) -> dict[str, LaneLoad]:
    return decode(slots.read(NAME) or b"{}")


async def test_each_who_waits_is_told_place_and_guess(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    for name in ("one", "two"):
        await db_call(report_worker, WorkerLoad(name, 1, 1, is_draining=False))
    waiting = [await wait_in_line(user) for _ in range(3)]
    await board.post()
    for position, generation in enumerate(waiting, start=1):
        (event,) = await anext(follow(log, key_of(generation), START, idle_s=1))
        assert event.type is EventType.QUEUED
        # Two at once, each of which takes as long as a first guess.
        assert event.data == {"position": position, "etaMs": FIRST_GUESS_MS / 2 * position}


async def test_each_lane_has_a_line_of_its_own(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    one, gone, other = [
        await db_call(queue_generation, user, routed_model=model)
        for model in ("smollm2-135m", "a model that is not there", "smollm2-135m")
    ]
    await board.post()
    assert await told(log, one) == await told(log, gone) == [("0-1", 1)]
    assert await told(log, other) == [("0-1", 2)]


async def test_a_place_is_told_again_only_when_it_changes(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    first, second = [await wait_in_line(user) for _ in range(2)]
    await board.post()
    await board.post()
    assert await told(log, second) == [("0-1", 2)]
    assert (await claim_next()).generation_id == first.pk
    await board.post()
    await board.post()
    assert await told(log, second) == [("0-1", 2), ("0-2", 1)]
    assert await told(log, first) == [("0-1", 1)]


async def test_who_is_far_back_is_not_told_of_each_step(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    line = [await wait_in_line(user) for _ in range(45)]
    await board.post()
    await claim_next()
    await board.post()
    assert await told(log, line[-1]) == [("0-1", 45)]
    for _ in range(2):
        await claim_next()
    await board.post()
    assert await told(log, line[-1]) == [("0-1", 45), ("0-2", 42)]


async def test_a_place_never_comes_after_the_answer_has_begun(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    first, second = [await wait_in_line(user) for _ in range(2)]
    await log.append(key_of(first), Event(Cursor(1, 1), EventType.STARTED))
    await board.post()
    assert await told(log, first) == [("1-1", None)]
    assert await told(log, second) == [("0-1", 2)]


async def test_who_was_sent_back_is_told_a_place_after_its_start(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    generation = await wait_in_line(user)
    await board.post()
    claim = await claim_next()
    await log.append(key_of(generation), Event(Cursor(1, 1), EventType.STARTED))
    await db_call(hand_over, claim)
    await board.post()
    await board.post()
    assert await told(log, generation) == [("0-1", 1), ("1-1", None), ("1-2", 1)]


async def test_who_has_text_to_read_is_told_no_place(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    generation = await wait_in_line(user)
    claim = await claim_next()
    for seq, (kind, data) in enumerate(
        [(EventType.STARTED, {}), (EventType.DELTA, {"text": "half "})], start=1
    ):
        await log.append(key_of(generation), Event(Cursor(1, seq), kind, data))
    await db_call(hand_over, claim)
    await board.post()
    assert await told(log, generation) == [("1-1", None), ("1-2", None)]


async def test_an_empty_line_is_forgotten(
    user: User, log: MemoryEventLog, board: QueueBoard, slots: MemorySlots
) -> None:
    earlier = await wait_in_line(user)
    await board.post()
    await claim_next()
    await board.post()
    assert loads(slots) == {}
    later = await wait_in_line(user)
    await board.post()
    assert await told(log, earlier) == await told(log, later) == [("0-1", 1)]


async def test_one_worker_at_a_time_tells(user: User, log: MemoryEventLog) -> None:
    slots = MemorySlots()
    one, other = (QueueBoard(log, slots, name) for name in ("one", "other"))
    first, second = [await wait_in_line(user) for _ in range(2)]
    await one.post()
    await claim_next()
    await other.post()
    assert await told(log, second) == [("0-1", 2)]
    await one.post()
    assert await told(log, second) == [("0-1", 2), ("0-2", 1)]
    assert await told(log, first) == [("0-1", 1)]


async def test_workers_that_hear_nothing_of_each_other_tell_each_place_once_in_order(
    user: User, log: MemoryEventLog
) -> None:
    last = [await wait_in_line(user) for _ in range(3)][-1]
    early, late = (QueueBoard(log, MemorySlots(), name) for name in ("early", "late"))
    await early.post()
    await claim_next()
    await early.post()
    await late.post()
    assert await told(log, last) == [("0-1", 3), ("0-2", 2)]
    await claim_next()
    # The other one is slower with its round.
    await late.post()
    assert await told(log, last) == [("0-1", 3), ("0-2", 2), ("0-3", 1)]
    await early.post()
    assert await told(log, last) == [("0-1", 3), ("0-2", 2), ("0-3", 1)]


async def test_places_are_told_again_in_a_log_that_was_lost(
    user: User, log: MemoryEventLog, board: QueueBoard
) -> None:
    _, last = [await wait_in_line(user) for _ in range(2)]
    await board.post()
    await log.delete(key_of(last))
    await claim_next()
    for _ in range(2):
        await board.post()
    assert await told(log, last) == [("0-1", 1)]


async def test_the_length_of_a_line_is_published_by_plan(
    user: User, board: QueueBoard, slots: MemorySlots
) -> None:
    pro = await db_call(make_person, plan=Plan.PRO)
    for person in (user, pro, user):
        await wait_in_line(person)
    await board.post()
    load = loads(slots)["local"]
    assert load.waiting == {"free": 2, "pro": 1}
    assert [place for _, place in load.marks] == [1, 2, 3]


async def test_a_guess_follows_what_calls_take_and_how_many_go_at_once(
    user: User, log: MemoryEventLog, board: QueueBoard, slots: MemorySlots
) -> None:
    await db_call(report_worker, WorkerLoad("one", 1, 100, is_draining=False))
    generation = await wait_in_line(user)
    slots.exchange([Ask(LANE, take=[Wish("a")], held_ms=[4_000])], lease_ms=60_000)
    await board.post()
    (event,) = await anext(follow(log, key_of(generation), START, idle_s=1))
    # 32 at once, four seconds each.
    assert event.data == {"position": 1, "etaMs": 125}


class AwayLog(MemoryEventLog):
    asked = 0

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        self.asked += 1
        raise LogAway


async def test_a_log_that_is_away_is_asked_once_a_round(
    user: User, slots: MemorySlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.queueboard.AT_ONCE", 1)
    log = AwayLog()
    for _ in range(3):
        await wait_in_line(user)
    board = QueueBoard(log, slots, "one")
    await board.post()
    assert log.asked == 1
    await board.post()
    assert log.asked == 2
