"""A reader comes to the answer's end, also where the log never says it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from prometheus_client import REGISTRY

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.errors import InvalidCursor
from conversations import reading
from conversations.claims import Claim, claim_waiting
from conversations.eventlog import EventLog
from conversations.events import START, Cursor, Event, EventType
from conversations.generations import Outcome
from conversations.models import Conversation, State
from conversations.queries import GenerationNotFound, try_cipher
from conversations.reading import Reading, open_reading
from tests.conversations.rows import finish_claim, queue_generation
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that soon look elsewhere; the order of the three stays."""
    monkeypatch.setattr(reading, "IDLE_S", 0.01)
    monkeypatch.setattr(reading, "CHECK_S", 0.05)
    monkeypatch.setattr(reading, "HEARTBEAT_S", 0.15)


def claim_one(user: User) -> tuple[Claim, Conversation]:
    generation = queue_generation(user)
    (claim,) = claim_waiting("elsewhere", 1)
    return claim, generation.conversation


async def begin(user: User, log: EventLog) -> tuple[Claim, Reading]:
    """Claim a generation, log its first word, and open a reading of it."""
    claim, _ = await db_call(claim_one, user)
    reading = await open_reading(user, claim.generation_id)
    await log.append(reading.key, Event(Cursor(1, 1), EventType.STARTED))
    await log.append(reading.key, Event(Cursor(1, 2), EventType.DELTA, {"text": "Half "}))
    return claim, reading


def completed(text: str) -> Outcome:
    return Outcome(State.COMPLETED, text, last_seq=4)


async def read_rest(reading: Reading) -> list[Event]:
    async with asyncio.timeout(10), aclosing(reading.batches()) as batches:
        return [event async for batch in batches for event in batch]


async def test_an_end_that_a_silent_log_missed_is_told_from_the_database(
    user: User, event_log: EventLog
) -> None:
    claim, reading = await begin(user, event_log)
    async with asyncio.timeout(10), aclosing(reading.batches()) as batches:
        assert [event.type for event in await anext(batches)] == [
            EventType.STARTED,
            EventType.DELTA,
        ]
        await db_call(finish_claim, claim, completed("Half and whole"))
        rest = [event async for batch in batches for event in batch]
    assert [event.type for event in rest] == [EventType.SNAPSHOT, EventType.DONE]
    assert rest[0].data["text"] == "Half and whole"
    assert [event.cursor for event in rest] == [Cursor(1, 3), Cursor(1, 4)]


async def test_a_reader_who_has_the_whole_text_is_told_the_end_alone(
    user: User, event_log: EventLog
) -> None:
    claim, reading = await begin(user, event_log)
    async with asyncio.timeout(10), aclosing(reading.batches()) as batches:
        await anext(batches)
        await db_call(finish_claim, claim, Outcome(State.COMPLETED, "Half ", last_seq=3))
        rest = [event async for batch in batches for event in batch]
    assert [(event.type, event.cursor) for event in rest] == [(EventType.DONE, Cursor(1, 3))]


async def test_what_ended_before_anything_was_logged_is_told_at_once(
    user: User, event_log: EventLog
) -> None:
    claim, _ = await db_call(claim_one, user)
    await db_call(finish_claim, claim, completed("All of it"))
    rest = await read_rest(await open_reading(user, claim.generation_id))
    assert [event.type for event in rest] == [EventType.SNAPSHOT, EventType.DONE]


async def test_a_silent_answer_beats_and_goes_on(user: User, event_log: EventLog) -> None:
    _, reading = await begin(user, event_log)
    async with asyncio.timeout(10), aclosing(reading.batches()) as batches:
        await anext(batches)
        assert await anext(batches) == []
        assert await anext(batches) == []
        await event_log.append(
            reading.key, Event(Cursor(1, 3), EventType.DELTA, {"text": "and whole"})
        )
        batch: list[Event] = []
        while not batch:
            batch = await anext(batches)
        assert batch[0].data["text"] == "and whole"


async def test_a_reader_of_what_was_deleted_comes_to_an_end(
    user: User, event_log: EventLog
) -> None:
    claim, reading = await begin(user, event_log)
    async with asyncio.timeout(10), aclosing(reading.batches()) as batches:
        await anext(batches)
        rows = Conversation.objects.filter(pk=claim.conversation_id)
        await db_call(rows.delete)
        assert [event async for batch in batches for event in batch] == []


async def test_readers_are_counted_while_they_read(user: User, event_log: EventLog) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("parley_stream_readers") or 0.0

    before = count()
    _, reading = await begin(user, event_log)
    async with aclosing(reading.batches()) as batches:
        await anext(batches)
        assert count() == before + 1
    assert count() == before


async def test_the_end_has_nothing_behind_it(user: User, event_log: EventLog) -> None:
    claim, _ = await db_call(claim_one, user)
    assert not (await open_reading(user, claim.generation_id, Cursor(1, 4))).is_over
    await db_call(finish_claim, claim, completed("All of it"))
    assert (await open_reading(user, claim.generation_id, Cursor(1, 4))).is_over
    assert not (await open_reading(user, claim.generation_id, Cursor(1, 3))).is_over
    assert not (await open_reading(user, claim.generation_id, START)).is_over


async def test_a_place_in_an_attempt_that_never_was_is_refused(
    user: User, event_log: EventLog
) -> None:
    claim, _ = await db_call(claim_one, user)
    with pytest.raises(InvalidCursor):
        await open_reading(user, claim.generation_id, Cursor(2, 1))


async def test_nobody_else_may_read(user: User, event_log: EventLog) -> None:
    claim, _ = await db_call(claim_one, user)
    other = await db_call(make_person)
    with pytest.raises(GenerationNotFound):
        await open_reading(other, claim.generation_id)


async def test_the_reader_brings_the_cipher_of_the_conversation(
    user: User, event_log: EventLog
) -> None:
    claim, conversation = await db_call(claim_one, user)
    reading = await open_reading(user, claim.generation_id)
    expected = try_cipher(conversation)
    assert reading.key.cipher is not None
    assert expected is not None
    sealed = expected.seal("words", "table", "column", "row")
    assert reading.key.cipher.open(sealed, "table", "column", "row") == "words"
