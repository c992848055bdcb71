"""The adapter of the Chat Completions protocol against a real HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from llm.catalog_file import load_catalog
from llm.errors import (
    AnswerDeclined,
    ContextOverflow,
    EmptyAnswer,
    MalformedStream,
    ProviderAuthenticationFailed,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    StreamCut,
)
from llm.pricing import cost_micros
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from llm.providers.openai import OpenAiProvider
from llm.types import Finished, Prompt, TextDelta, Turn, Usage
from tests.fakes.provider_process import ScriptedProvider
from tests.llm.asking import HELLO, ask


def build(scripted: ScriptedProvider, patience_s: float) -> OpenAiProvider:
    endpoint = Endpoint(f"{scripted.url}/v1", "test-key")
    return OpenAiProvider(endpoint, timeouts=Timeouts(patience_s, patience_s))


@pytest.fixture
async def chat(scripted: ScriptedProvider) -> AsyncIterator[OpenAiProvider]:
    client = build(scripted, 30)
    yield client
    await client.aclose()


@pytest.fixture
async def hurried(scripted: ScriptedProvider) -> AsyncIterator[OpenAiProvider]:
    client = build(scripted, 0.3)
    yield client
    await client.aclose()


async def test_cached_tokens_are_counted_once_though_the_prompt_includes_them(scripted, chat):
    usage = {"input_tokens": 7, "cache_read_tokens": 3, "cache_write_tokens": 2}
    scripted.script({"text": "Hello wide world", **usage})
    outcome = await ask(chat)
    assert outcome.text == "Hello wide world"
    counted = Usage(7, 3, cache_read_tokens=3, cache_write_tokens=2)
    assert outcome.finished == Finished("end_turn", counted)
    spec = load_catalog().find("claude-sonnet-5-5")
    assert spec is not None
    # 7 at $2, 3 at $10, 2 written at $2.50 and 3 read at $0.20 a million.
    assert cost_micros(counted, spec) == -(-(14 + 30 + 5 + 0.6) // 1)


async def test_sends_the_prompt_as_the_protocol_wants_it(scripted, chat):
    turns = (Turn("user", "Hi"), Turn("assistant", "Hello."), Turn("user", "Añ 😀"))
    await ask(chat, Prompt("Be kind.", turns, 99), model_id="gpt-x")
    request = scripted.requests()[0]
    assert request["api_key"] == "test-key"
    assert request["body"] == {
        "model": "gpt-x",
        "max_completion_tokens": 99,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Añ 😀"},
        ],
    }


async def test_a_server_of_the_older_protocol_is_told_its_limit_in_its_own_word(scripted):
    provider = OpenAiProvider(Endpoint(f"{scripted.url}/v1", "k"), limit_field="max_tokens")
    await ask(provider, Prompt("", HELLO.turns, 5))
    await provider.aclose()
    body = scripted.requests()[0]["body"]
    assert body["max_tokens"] == 5
    assert "max_completion_tokens" not in body
    assert [turn["role"] for turn in body["messages"]] == ["user"]


async def test_reasoning_is_not_part_of_the_answer(scripted, chat):
    scripted.script({"thinking_deltas": 5, "text": "Four."})
    assert (await ask(chat)).text == "Four."


@pytest.mark.parametrize(
    ("said", "known"),
    [("end_turn", "end_turn"), ("max_tokens", "max_tokens"), ("refusal", "refusal")],
)
async def test_finish_reasons_have_the_names_of_the_rest_of_the_service(
    scripted, chat, said, known
):
    scripted.script({"text": "So", "stop_reason": said})
    finished = (await ask(chat)).finished
    assert finished is not None
    assert finished.stop_reason == known


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"status": 429}, ProviderRateLimited),
        ({"status": 429, "error_type": "insufficient_quota"}, ProviderAuthenticationFailed),
        ({"status": 529}, ProviderOverloaded),
        ({"status": 500}, ProviderUnavailable),
        ({"status": 503}, ProviderUnavailable),
        ({"status": 504}, ProviderTimeout),
        ({"status": 401}, ProviderAuthenticationFailed),
        ({"status": 400}, ProviderRejected),
        ({"status": 404}, ProviderRejected),
        (
            {"status": 400, "error_message": "This model's maximum context length is 9 tokens."},
            ContextOverflow,
        ),
        ({"refuse": True}, ProviderUnavailable),
        ({"cut_after": 0}, StreamCut),
        ({"cut_after": 3}, StreamCut),
        ({"end_after": 0}, StreamCut),
        ({"end_after": 3}, StreamCut),
        ({"stop_reason": None}, StreamCut),
        ({"malformed_after": 0}, MalformedStream),
        ({"malformed_after": 3}, MalformedStream),
        ({"invalid_utf8_after": 3}, MalformedStream),
        ({"empty": True}, EmptyAnswer),
        ({"empty": True, "stop_reason": "refusal"}, AnswerDeclined),
        ({"error_event_after": 3, "error_event": "server_error"}, ProviderUnavailable),
        ({"error_event_after": 0, "error_event": "rate_limit_exceeded"}, ProviderRateLimited),
        ({"error_event_after": 0, "error_event": "something_new"}, ProviderUnavailable),
    ],
)
async def test_every_failure_is_a_typed_error(scripted, chat, script, expected):
    scripted.script(script)
    outcome = await ask(chat)
    assert type(outcome.error) is expected
    assert outcome.finished is None


@pytest.mark.parametrize(
    "fault", ["cut_after", "end_after", "malformed_after", "error_event_after"]
)
async def test_text_before_a_failure_is_delivered(scripted, chat, fault):
    scripted.script({fault: 3, "token_ms": 5})
    assert (await ask(chat)).text == "leaf0 leaf1 leaf2 "


@pytest.mark.parametrize(
    "script", [{"first_token_ms": 60_000}, {"stall_after": 2}, {"pings_only": True}]
)
async def test_a_provider_without_new_text_times_out_even_if_it_pings(scripted, hurried, script):
    scripted.script(script)
    outcome = await ask(hurried)
    assert type(outcome.error) is ProviderTimeout


async def test_closing_the_stream_early_ends_the_request_at_the_provider(scripted, chat):
    scripted.script({"tokens": 5, "stall_after": 2})
    async with aclosing(chat.stream(HELLO, model_id="m")) as events:
        assert isinstance(await anext(events), TextDelta)
    await asyncio.to_thread(scripted.wait_until_closed)


async def test_a_wrong_key_or_quota_is_said_in_our_words(scripted, chat):
    scripted.script({"status": 401, "error_message": "Incorrect API key: sk-secret"})
    error = (await ask(chat)).error
    assert error is not None
    assert "secret" not in str(error.body())
