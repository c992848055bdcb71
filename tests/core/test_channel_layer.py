"""Notices wait for their reader in bounded room, and a reader who falls behind learns of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_django import Settings

from chatbot.core.channel_layer import MISSED, MOST_WAITING, PatientChannelLayer
from tests.stores import Valkey

WITHIN_S = 20.0
GROUP = "user.1"


@pytest.fixture(params=["in-process", pytest.param("valkey", marks=pytest.mark.redis)])
async def layer(
    request: pytest.FixtureRequest, settings: Settings
) -> AsyncIterator[PatientChannelLayer]:
    if request.param == "valkey":
        request.getfixturevalue("valkey")
    else:
        settings.REDIS_URL = ""
    layer = PatientChannelLayer()
    yield layer
    await layer.flush()


async def join(layer: PatientChannelLayer) -> str:
    channel: str = await layer.new_channel()
    await layer.group_add(GROUP, channel)
    return channel


async def tell(layer: PatientChannelLayer, number: int) -> None:
    await layer.group_send(GROUP, {"type": "notice", "number": number})


async def hear(layer: PatientChannelLayer, channel: str) -> Any:
    async with asyncio.timeout(WITHIN_S):
        message = await layer.receive(channel)
    return MISSED if message["type"] == MISSED else message["number"]


async def test_a_reader_who_keeps_up_hears_everything_while_another_reads_nothing(
    layer: PatientChannelLayer,
) -> None:
    reader, idler = await join(layer), await join(layer)
    told = range(10 * MOST_WAITING)
    for number in told:
        await tell(layer, number)
        assert await hear(layer, reader) == number
        assert layer.channels[idler].qsize() <= MOST_WAITING


async def test_a_reader_who_falls_behind_hears_that_something_was_missed_and_all_that_follows(
    layer: PatientChannelLayer,
) -> None:
    witness, idler = await join(layer), await join(layer)
    for number in range(MOST_WAITING + 3):
        await tell(layer, number)
        # The layer has handed it to everybody by then, or does so in the same step.
        assert await hear(layer, witness) == number
    await asyncio.sleep(0)
    heard = [await hear(layer, idler) for _ in range(3)]
    assert heard == [MISSED, MOST_WAITING + 1, MOST_WAITING + 2]


async def test_a_reader_with_room_left_misses_nothing(layer: PatientChannelLayer) -> None:
    witness, idler = await join(layer), await join(layer)
    for number in range(MOST_WAITING):
        await tell(layer, number)
        assert await hear(layer, witness) == number
    heard = [await hear(layer, idler) for _ in range(MOST_WAITING)]
    assert heard == list(range(MOST_WAITING))


@pytest.mark.redis
async def test_who_listened_while_the_way_from_redis_was_broken_hears_that_something_was_missed(
    valkey: Valkey,
) -> None:
    layer = PatientChannelLayer()
    reader = await join(layer)
    await tell(layer, 1)
    assert await hear(layer, reader) == 1
    await asyncio.to_thread(valkey.kill9)
    late = await join(layer)
    await asyncio.to_thread(valkey.start)
    assert [await hear(layer, who) for who in (reader, late)] == [MISSED, MISSED]
    await tell(layer, 2)
    assert [await hear(layer, who) for who in (reader, late)] == [2, 2]
    await layer.flush()
