"""Stops that travel between processes, through a Redis that may be replaced meanwhile."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from chatbot.core.tasks import spawn
from conversations.doorbell import STOPS, Ringer, hear_stops, ring_stop
from tests.degraded.device import eventually
from tests.stores import Valkey

pytestmark = [pytest.mark.redis, pytest.mark.process]

WITHIN_S = 20.0
# An id of a server whose clock is far ahead of the next one's.
AHEAD = "9999999999999-0"


def ring_ahead(valkey: Valkey, generation_id: UUID) -> None:
    with valkey.client() as client:
        client.xadd(STOPS, {"g": generation_id.bytes}, id=AHEAD)


async def hear(heard: asyncio.Queue[UUID]) -> UUID:
    async with asyncio.timeout(WITHIN_S):
        return await heard.get()


async def test_a_stop_is_heard_after_a_failover_to_an_earlier_clock(valkey: Valkey) -> None:
    before, after = uuid4(), uuid4()
    heard: asyncio.Queue[UUID] = asyncio.Queue()
    # What is there when it begins to listen is not for it: the first stop marks the place.
    ring_ahead(valkey, uuid4())
    listening = spawn(hear_stops(heard.put_nowait), name="listener")
    try:
        with valkey.client() as client:
            await asyncio.to_thread(
                eventually, lambda: client.info("clients")["blocked_clients"], within_s=WITHIN_S
            )
            client.xadd(STOPS, {"g": before.bytes}, id="9999999999999-1")
        assert await hear(heard) == before
        await asyncio.to_thread(valkey.restart_without_data)
        ring_stop(after)
        assert await hear(heard) == after
    finally:
        listening.cancel()
        await asyncio.wait([listening])


def test_a_ring_that_fails_is_logged_and_the_next_one_rings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rung: list[int] = []

    def fail() -> None:
        raise ValueError("what nobody foresaw")

    ringer = Ringer()
    ringer.submit(fail)
    ringer.submit(lambda: rung.append(1))
    ringer.close()
    assert "what nobody foresaw" in caplog.text
    assert rung == [1]


def test_a_ring_while_the_process_ends_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ringer = Ringer(most_waiting=1)
    ringer.close()
    for _ in range(2):
        ringer.submit(lambda: None)
    # Each was let in: the one before had given back its place.
    assert caplog.messages == ["A wake-up was lost: this process ends"] * 2
