"""Stops that travel between processes, through a Redis that may be replaced meanwhile."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from chatbot.core.tasks import spawn
from conversations.doorbell import STOPS, hear_stops, ring_stop
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
