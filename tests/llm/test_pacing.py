"""Streams that are read in gathers, against a real HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing

import pytest

from llm.errors import MalformedStream, ProviderOverloaded, ProviderTimeout, StreamCut
from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from llm.providers.pacing import Pacer
from llm.types import TextDelta
from tests.fakes.provider_process import ScriptedProvider
from tests.llm.asking import HELLO, ask

# Longer than any test waits: what a hold delays never comes.
NEVER_S = 1_000.0

BuildPaced = Callable[..., AnthropicProvider]


@pytest.fixture
async def paced(scripted: ScriptedProvider):
    """A client that holds every stream for the given time."""
    async with AsyncExitStack() as stack:

        def build(gather_s: float, *, min_streams: int = 1, patience_s: float = 30.0):
            client = AnthropicProvider(
                Endpoint(scripted.url, "test-key"),
                timeouts=Timeouts(first_token_s=patience_s, token_s=patience_s),
                pacer=Pacer(min_streams=min_streams, gather_s=gather_s),
            )
            stack.push_async_callback(client.aclose)
            return client

        yield build


async def test_the_first_text_is_never_held(scripted, paced: BuildPaced):
    provider = paced(NEVER_S)
    scripted.script(thinking_deltas=3, tokens=3, first_token_ms=50, stall_after=1)
    async with AsyncExitStack() as stack:
        for _ in range(40):
            events = await stack.enter_async_context(aclosing(provider.stream(HELLO, model_id="m")))
            async with asyncio.timeout(10):
                assert await anext(events) == TextDelta("leaf0 ")


async def test_later_text_gathers(scripted, paced: BuildPaced):
    scripted.script({"tokens": 30, "token_ms": 5})
    outcome = await ask(paced(0.5))
    assert outcome.text == "".join(f"leaf{number} " for number in range(30))
    assert len(outcome.texts) <= 6


async def test_few_streams_are_not_held(scripted, paced: BuildPaced):
    scripted.script({"tokens": 5, "token_ms": 5})
    assert (await ask(paced(NEVER_S, min_streams=2))).finished is not None


async def test_streams_that_have_ended_do_not_count(scripted, paced: BuildPaced):
    provider = paced(NEVER_S, min_streams=2)
    for script in ({"tokens": 2}, {"cut_after": 1}, {"status": 500}):
        scripted.script(script)
        await ask(provider)
    scripted.script({"tokens": 5, "token_ms": 5})
    assert (await ask(provider)).finished is not None


async def test_a_stop_during_a_hold_closes_at_once(scripted, paced: BuildPaced):
    scripted.script({"tokens": 1_000, "token_ms": 5})
    provider = paced(NEVER_S)
    has_text = asyncio.Event()

    async def read() -> None:
        async with aclosing(provider.stream(HELLO, model_id="m")) as events:
            async for _ in events:
                has_text.set()

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        await has_text.wait()
        reader.cancel()
    await asyncio.to_thread(scripted.wait_until_closed)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("cut_after", StreamCut),
        ("end_after", StreamCut),
        ("malformed_after", MalformedStream),
        ("error_event_after", ProviderOverloaded),
        ("stall_after", ProviderTimeout),
        ("ping_after", ProviderTimeout),
    ],
)
async def test_a_hold_hides_no_failure(scripted, paced: BuildPaced, fault, expected):
    scripted.script({fault: 3, "token_ms": 5})
    outcome = await ask(paced(0.02, patience_s=1.0))
    assert type(outcome.error) is expected
    assert outcome.text == "leaf0 leaf1 leaf2 "


async def test_a_connection_that_was_held_serves_again(scripted, paced: BuildPaced):
    provider = paced(0.02)
    for _ in range(3):
        scripted.script({"tokens": 6, "token_ms": 10})
        assert (await ask(provider)).error is None
    connector = provider._session.connector
    assert connector is not None
    assert len(connector._conns) == 1
