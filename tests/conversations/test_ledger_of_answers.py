"""What the ledger holds of answers that real providers were asked for, checked by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from pytest_django import Settings

from chatbot.accounts.models import LedgerEntry, User
from chatbot.core.db import db_call
from conversations.eventlog import EventLog
from conversations.models import Message
from conversations.worker import GenerationWorker
from llm.conf import get_registry, set_local_endpoint
from tests.conversations.conftest import ApiClient
from tests.conversations.working import running_worker
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)

# Micro-dollars per million tokens.
OPENAI_MODEL = """
[[model]]
name = "by-contract"
display_name = "By contract"
provider = "openai"
model_id = "gpt-by-contract"
tier = "smart"
continuation = "restart"
context_window = 100_000
max_output = 4_096
answer_tokens = 1_024
prices_read = 2026-11-25
price = { input = 1_250_000, output = 10_000_000, cache_write = 0, cache_read = 125_000 }
"""


@pytest.fixture
async def hosted(
    provider: ScriptedProvider, settings: Settings, tmp_path: Path
) -> AsyncIterator[None]:
    """Make the scripted provider Anthropic and OpenAI, with a model of each."""
    catalog = tmp_path / "models.toml"
    catalog.write_text(OPENAI_MODEL)
    settings.MODELS_FILE = str(catalog)
    settings.ANTHROPIC_API_KEY = settings.OPENAI_API_KEY = "scripted"
    settings.ANTHROPIC_BASE_URL = provider.url
    settings.OPENAI_BASE_URL = f"{provider.url}/v1"
    settings.LOCAL_MODEL_URL = ""
    set_local_endpoint(None)
    yield
    await get_registry().aclose()
    set_local_endpoint(None)


@pytest.fixture
async def both(hosted: None, event_log: EventLog) -> AsyncIterator[GenerationWorker]:
    async with running_worker(event_log) as worker:
        yield worker


# The usage in tests/llm/fixtures/anthropic.sse; as many deltas are as many tokens.
RECORDED = {"input_tokens": 25, "cache_read_tokens": 100, "cache_write_tokens": 12, "tokens": 15}


async def entries() -> list[LedgerEntry]:
    return await db_call(lambda: list(LedgerEntry.objects.order_by("created", "number")))


async def spent_of(user: User) -> int:
    def read() -> int:
        return sum(user.budget_periods.values_list("spent", flat=True))

    return await db_call(read)


@pytest.mark.parametrize(
    ("model", "script", "micros"),
    [
        # 25 * 2 + 12 * 2.5 + 100 * 0.1 + 15 * 10
        ("claude-sonnet-5-5", RECORDED, 240),
        # 25 * 0.1 + 12 * 0.125 + 100 * 0.01 + 15 * 0.5 = 12.5, and nothing is given away.
        ("claude-haiku-5-5", RECORDED, 13),
        # Beyond 100,000 tokens: 99,900 * 0.5 + 12 * 0.625 + 100 * 0.05 + 15 * 2.5
        ("claude-haiku-5-5", {**RECORDED, "input_tokens": 99_900}, 50_000),
        # 25 * 1.25 + 100 * 0.125 + 15 * 10 = 193.75
        ("by-contract", {**RECORDED, "cache_write_tokens": 0}, 194),
    ],
)
async def test_an_entry_costs_what_a_hand_computes(
    api: ApiClient,
    user: User,
    both: GenerationWorker,
    provider: ScriptedProvider,
    model: str,
    script: dict[str, int],
    micros: int,
) -> None:
    provider.script(**script)
    frames = await api.send(await api.new_conversation(model=model), "Hello")
    (entry,) = await entries()
    assert (entry.model, entry.cost_micros, entry.is_metered) == (model, micros, True)
    assert entry.input_tokens == script["input_tokens"]
    assert entry.cache_read_tokens == script["cache_read_tokens"]
    assert entry.cache_write_tokens == script["cache_write_tokens"]
    assert (entry.output_tokens, entry.ending) == (script["tokens"], "finished")
    assert str(entry.source) == frames[0].data["generationId"]
    assert entry.first_token_ms is not None
    assert frames[-1].data["usage"]["costMicros"] == micros
    assert await spent_of(user) == entry.tokens


async def test_an_answer_is_as_long_as_its_provider_counted(
    api: ApiClient, both: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation(model="claude-haiku-5-5")
    provider.script(chunks=["area "] * 40)
    await api.send(conversation, "Hello")
    provider.script(chunks=["area "] * 40, cut_after=30)
    await api.send(conversation, "And then?")
    whole, broken = await db_call(
        lambda: list(Message.objects.filter(role="assistant").order_by("seq"))
    )
    assert (whole.counted_tokens, broken.counted_tokens) == (40, None)
    assert whole.token_count > 40


async def test_every_call_of_an_answer_that_fails_at_last_is_charged(
    api: ApiClient, user: User, both: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(tokens=20, cut_after=1)
    frames = await api.send(await api.new_conversation(model="claude-sonnet-5-5"), "Hello")
    assert frames[-1].event == "failed"
    found = await entries()
    assert len(found) == len(provider.requests()) > 1
    assert [one.number for one in found] == list(range(len(found)))
    assert {(one.ending, one.is_metered) for one in found} == {("failed", False)}
    assert all(one.output_tokens and one.cost_micros for one in found)
    assert await spent_of(user) == sum(one.tokens for one in found)


async def test_a_stopped_answer_is_charged_as_far_as_it_came(
    api: ApiClient, user: User, both: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(tokens=6, hold_after=3)
    conversation = await api.new_conversation(model="claude-sonnet-5-5")
    reference = await api.enqueue(conversation, "Hello")
    events = reference["eventsUrl"].removeprefix("/api/v1")
    async with aclosing(api.stream("get", events)) as frames:
        async for frame in frames:
            if frame.event == "delta":
                break
    await api.call("post", events.replace("/events", "/stop"))
    rest = [frame async for frame in api.stream("get", events)]
    assert rest[-1].event == "stopped"
    (entry,) = await entries()
    assert (entry.ending, entry.is_metered) == ("stopped", False)
    assert await spent_of(user) == entry.tokens > 0


async def test_each_worker_charges_its_own_calls_when_it_hands_over(
    api: ApiClient, user: User, hosted: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    held = {"tokens": 9, "hold_after": 3}
    rest = {"input_tokens": 80, "tokens": 2}
    provider.script(held, rest)
    conversation = await api.new_conversation(model="by-contract")
    reference = await api.enqueue(conversation, "Hello")
    events = reference["eventsUrl"].removeprefix("/api/v1")
    # Left in order, in the middle of the answer.
    async with running_worker(event_log), aclosing(api.stream("get", events)) as frames:
        async for frame in frames:
            if frame.event == "delta":
                break
    (first,) = await entries()
    assert (first.ending, first.models_asked, first.is_metered) == ("stopped", 0, False)
    assert await spent_of(user) == first.tokens > 0
    async with running_worker(event_log):
        done = [frame async for frame in api.stream("get", events)][-1]
    assert done.event == "done"
    first, second = await entries()
    assert [first.number, second.number] == [0, 1]
    assert (second.ending, second.models_asked, second.input_tokens) == ("finished", 1, 80)
    assert await spent_of(user) == first.tokens + second.tokens
    assert done.data["usage"] == {
        "inputTokens": first.input_tokens + 80,
        "cachedTokens": 0,
        "outputTokens": first.output_tokens + second.output_tokens,
        "costMicros": first.cost_micros + second.cost_micros,
    }


@pytest.mark.parametrize("model", ["by-contract", "claude-sonnet-5-5"])
async def test_an_answer_that_waits_again_has_its_calls_charged_once(
    api: ApiClient,
    user: User,
    hosted: None,
    event_log: EventLog,
    provider: ScriptedProvider,
    model: str,
) -> None:
    get_registry().means.sleep = _at_once
    # It breaks off, and is one too many for its provider from then on, until there is room.
    broken = {"tokens": 9, "cut_after": 4}
    full = {"status": 529}
    provider.script(broken, *[full] * 5, {"input_tokens": 80, "tokens": 2})
    async with running_worker(event_log):
        conversation = await api.new_conversation(model=model)
        frames = await api.send(conversation, "Hello")
    assert frames[-1].event == "done"
    found = await entries()
    assert [one.number for one in found] == list(range(len(found)))
    assert [one.ending for one in found] == ["failed", "finished"]
    assert [one.models_asked for one in found] == [0, 1]
    assert await spent_of(user) == sum(one.tokens for one in found)


async def _at_once(delay_s: float) -> None:
    await asyncio.sleep(0)
