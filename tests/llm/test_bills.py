"""What calls that did not come to their end cost, against the provider's own meter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from llm.catalog_file import load_catalog
from llm.engine import Candidate, Means, stream_completion
from llm.errors import ProviderError, ProviderRateLimited
from llm.pricing import Call
from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from llm.providers.http import HttpProvider
from llm.providers.openai import OpenAiProvider
from llm.retry import RetryBudget
from llm.tokens import measure
from llm.types import TextDelta
from tests.fakes.provider_process import ScriptedProvider
from tests.llm.asking import HELLO, ask

SPEC = load_catalog().models[0]
SCALE = SPEC.token_scale
CHUNKS = [f"leaf{number} " for number in range(12)]
PATIENCE = Timeouts(first_token_s=0.5, token_s=0.5)


@pytest.fixture(params=["anthropic", "openai"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def adapter(scripted: ScriptedProvider, protocol: str) -> AsyncIterator[HttpProvider]:
    kind, path = {"anthropic": (AnthropicProvider, ""), "openai": (OpenAiProvider, "/v1")}[protocol]
    provider = kind(Endpoint(scripted.url + path, "k"), timeouts=PATIENCE)
    yield provider
    await provider.aclose()


async def call_once(adapter: HttpProvider, *, texts: int | None = None) -> list[Call]:
    """Return what one call cost, given up after so many texts or when it failed."""
    calls: list[Call] = []
    # A budget without tokens: nothing is tried again.
    means = Means(budget=RetryBudget(clock=lambda: 0.0))
    while means.budget.take(SPEC.provider):
        pass

    async def open_candidate(spec: object) -> Candidate:
        return Candidate(SPEC, adapter, HELLO)

    left = texts
    completion = stream_completion([SPEC], open_candidate, calls=calls, means=means)
    async with aclosing(completion) as events:
        try:
            async for event in events:
                if left is not None and isinstance(event, TextDelta):
                    left -= len(event.text.split())
                    if left <= 0:
                        break
        except ProviderError:
            assert texts is None
    return calls


def metered(scripted: ScriptedProvider, protocol: str) -> tuple[int, int]:
    """Return the input and output tokens of the last request, as its provider counts.

    Chat Completions tell the input at the end only: there it is our estimate of what arrived.
    """
    request = scripted.requests()[-1]
    read = request["input_tokens"]
    if protocol == "openai":
        read = sum(SCALE.count_turn(turn["content"]) for turn in request["body"]["messages"])
    return read, SCALE.count(measure("".join(CHUNKS[: request["output_tokens"]])))


@pytest.mark.parametrize(
    "fault",
    [
        {"stall_after": 0},
        {"ping_after": 0},
        {"stall_after": 5},
        {"end_after": 0},
        {"end_after": 5},
        {"error_event_after": 5},
    ],
    ids=str,
)
async def test_a_call_that_broke_off_costs_what_was_read_and_said(
    scripted: ScriptedProvider, adapter: HttpProvider, protocol: str, fault: dict[str, Any]
):
    scripted.script(chunks=CHUNKS, **fault)
    (call,) = await call_once(adapter)
    assert (call.usage.input_tokens, call.usage.output_tokens) == metered(scripted, protocol)
    assert (call.ending, call.is_metered) == ("failed", False)


@pytest.mark.parametrize(
    "fault", [{"status": 429}, {"status": 529}, {"status": 500}, {"refuse": True}]
)
async def test_a_call_that_was_refused_costs_nothing(
    scripted: ScriptedProvider, adapter: HttpProvider, fault: dict[str, Any]
):
    scripted.script(chunks=CHUNKS, **fault)
    assert await call_once(adapter) == []
    assert scripted.totals()["input_tokens"] == 0


async def test_a_call_that_was_given_up_costs_what_was_read_and_said(
    scripted: ScriptedProvider, adapter: HttpProvider, protocol: str
):
    scripted.script(chunks=CHUNKS, hold_after=5)
    (call,) = await call_once(adapter, texts=5)
    await asyncio.to_thread(scripted.wait_until_closed)
    assert (call.usage.input_tokens, call.usage.output_tokens) == metered(scripted, protocol)
    assert (call.ending, call.is_metered) == ("stopped", False)


async def test_a_limit_that_is_used_up_is_waited_for(
    scripted: ScriptedProvider, adapter: HttpProvider
):
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}
    scripted.script(status=429, headers=headers)
    error = (await ask(adapter)).error
    assert isinstance(error, ProviderRateLimited)
    assert error.retry_after_s == 90
    scripted.script(status=429, headers=headers, retry_after="4")
    error = (await ask(adapter)).error
    assert error is not None
    assert error.retry_after_s == 4
