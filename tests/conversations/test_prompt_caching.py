"""What a provider keeps of a prompt: asked for, counted and paid for, through the whole product."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_django import Settings

from chatbot.core.db import db_call
from conversations.eventlog import EventLog
from conversations.models import Generation
from conversations.worker import GenerationWorker
from llm.conf import get_registry, set_local_endpoint
from tests.conversations.conftest import ApiClient
from tests.fakes.provider_process import ScriptedProvider
from tests.llm.prompt_cache import PromptCache

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "claude-sonnet-5-5"
LONG = "Bees fly from flower to flower and carry what they find home. " * 40


@pytest.fixture
async def models(provider: ScriptedProvider, settings: Settings) -> AsyncIterator[None]:
    """Make the scripted provider the hosted one."""
    settings.ANTHROPIC_API_KEY = "scripted"
    settings.ANTHROPIC_BASE_URL = provider.url
    settings.LOCAL_MODEL_URL = ""
    set_local_endpoint(None)
    yield
    await get_registry().aclose()
    set_local_endpoint(None)


async def open_conversation(api: ApiClient) -> str:
    return await api.new_conversation(model=MODEL, systemPrompt=LONG)


async def test_each_turn_of_a_conversation_reads_what_the_one_before_had_kept(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    conversation = await open_conversation(api)
    cache = PromptCache()
    read = []
    for number in range(4):
        await api.send(conversation, f"Question {number}?")
        read.append(cache.ask(provider.requests()[-1]["raw"].encode()))
    # The system text, and all turns up to the question before.
    assert read == [0, 2, 4, 6]


async def test_cached_tokens_are_counted_priced_and_shown(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(tokens=30, input_tokens=9, cache_read_tokens=1_000, cache_write_tokens=40)
    conversation = await open_conversation(api)
    done = (await api.send(conversation, "And?"))[-1].data
    # Micro-dollars a token: 2 read, 2.50 kept, 0.10 from the cache, 10 written.
    cost = 9 * 2 + 40 * 5 // 2 + 1_000 // 10 + 30 * 10
    generation = await db_call(Generation.objects.get)
    assert generation.cached_tokens == 1_000
    assert generation.cost_micros == cost == 518
    usage: dict[str, Any] = done["usage"]
    assert (usage["cachedTokens"], usage["outputTokens"]) == (1_000, 30)
    assert usage["costMicros"] == cost
    assert done["message"]["usage"] == usage
    question, answer = (await api.read(conversation))["messages"]
    assert question["usage"] is None
    assert answer["usage"] == usage


async def test_an_answer_that_is_being_written_has_no_usage_yet(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(tokens=3, hold_after=1)
    conversation = await open_conversation(api)
    await api.enqueue(conversation, "And?")
    (_, answer) = (await api.read(conversation))["messages"]
    assert answer["usage"] is None
    provider.release()
