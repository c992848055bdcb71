"""A server that does not answer costs whoever asks it one timeout, however many they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pytest_django import Settings
from redis.exceptions import TimeoutError as RedisTimeout

from chatbot.core import redis
from chatbot.core.redis import PIPELINE_COMMANDS, RedisAway, RedisPipeline


class Silence:
    """A server that takes connections and never says anything."""

    def __init__(self) -> None:
        self.connections = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read()
        writer.close()


@asynccontextmanager
async def silent_server(settings: Settings) -> AsyncIterator[Silence]:
    silence = Silence()
    server = await asyncio.start_server(silence.take, "127.0.0.1", 0)
    async with server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield silence


async def fails_with(pipeline: RedisPipeline) -> type[Exception] | None:
    try:
        await pipeline.ask("GET", "x")
    except RedisAway as exc:
        return type(exc)
    return None


async def test_what_asks_a_silent_server_fails_together(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "REPLY_TIMEOUT_S", 0.3)
    async with silent_server(settings) as silence:
        pipeline = RedisPipeline()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(fails_with(pipeline)) for _ in range(8 * PIPELINE_COMMANDS)]
        assert {task.result() for task in asked} == {RedisTimeout}
        assert silence.connections == 1
        # And the next one is tried anew.
        assert await fails_with(pipeline) is RedisTimeout
        assert silence.connections == 2
        await pipeline.aclose()
