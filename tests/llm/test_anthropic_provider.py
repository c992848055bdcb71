"""The adapter against a real HTTP server, for everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from contextlib import aclosing

import pytest

from llm.errors import (
    AnswerDeclined,
    ContextOverflow,
    EmptyAnswer,
    MalformedStream,
    ProviderAuthenticationFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    StreamCut,
)
from llm.providers.anthropic import AnthropicProvider
from llm.providers.connections import Endpoint
from llm.types import Finished, Prompt, TextDelta, Turn, Usage
from tests.llm.asking import HELLO, ask


async def test_streams_the_text_then_one_ending_with_the_usage(scripted, provider):
    scripted.script({"text": "Hello wide world", "input_tokens": 7, "cache_read_tokens": 3})
    outcome = await ask(provider)
    assert outcome.text == "Hello wide world"
    assert outcome.finished == Finished("end_turn", Usage(7, 3, cache_read_tokens=3))
    assert outcome.error is None


async def test_sends_the_prompt_as_the_protocol_wants_it(scripted, provider):
    turns = (Turn("user", "Hi"), Turn("assistant", "Hello."), Turn("user", "Añ 😀"))
    await ask(provider, Prompt("Be kind.", turns, 99), model_id="claude-x")
    request = scripted.requests()[0]
    assert request["api_key"] == "test-key"
    assert request["body"] == {
        "model": "claude-x",
        "max_tokens": 99,
        "stream": True,
        "system": "Be kind.",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Añ 😀"},
        ],
    }


async def test_marks_what_its_model_is_to_keep(scripted):
    provider = AnthropicProvider(Endpoint(scripted.url, "k"), least_cached={"keeps": 10})
    prompt = Prompt("Be kind, brief and clear, in this and in every answer.", HELLO.turns, 99)
    for model_id in ("keeps", "forgets"):
        await ask(provider, prompt, model_id=model_id)
    await provider.aclose()
    keeps, forgets = (request["body"] for request in scripted.requests())
    mark = {"type": "ephemeral"}
    assert keeps["system"] == [{"type": "text", "text": prompt.system, "cache_control": mark}]
    assert keeps["messages"][-1]["content"][0]["cache_control"] == mark
    assert forgets["system"] == prompt.system


async def test_tells_what_is_remembered_after_the_system_text(scripted, provider):
    await ask(provider, Prompt("Be kind.", HELLO.turns, 99, memory="It is May."))
    assert scripted.requests()[0]["body"]["system"] == "Be kind.\n\nIt is May."


async def test_asks_for_the_thinking_its_model_is_configured_with(scripted):
    provider = AnthropicProvider(Endpoint(scripted.url, "k"), thinking={"m": "between_tools"})
    await ask(provider)
    await provider.aclose()
    assert scripted.requests()[0]["body"]["thinking"] == {"type": "between_tools"}


async def test_leaves_out_an_empty_system_prompt(scripted, provider):
    await ask(provider, Prompt("", HELLO.turns, 5))
    assert "system" not in scripted.requests()[0]["body"]


async def test_thinking_is_not_part_of_the_answer(scripted, provider):
    scripted.script({"thinking_deltas": 5, "text": "Four."})
    assert (await ask(provider)).text == "Four."


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"status": 429}, ProviderRateLimited),
        ({"status": 529}, ProviderOverloaded),
        ({"status": 500}, ProviderUnavailable),
        ({"status": 502}, ProviderUnavailable),
        ({"status": 504}, ProviderTimeout),
        ({"status": 401}, ProviderAuthenticationFailed),
        ({"status": 403}, ProviderAuthenticationFailed),
        ({"status": 400}, ProviderRejected),
        ({"status": 404}, ProviderRejected),
        ({"status": 413}, ContextOverflow),
        (
            {"status": 400, "error_message": "prompt is too long: 210000 tokens > 200000"},
            ContextOverflow,
        ),
        (
            {
                "status": 400,
                "error_message": "request (9 tokens) exceeds the available context size",
            },
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
        ({"error_event_after": 0}, ProviderOverloaded),
        ({"error_event_after": 3}, ProviderOverloaded),
        ({"error_event_after": 3, "error_event": "api_error"}, ProviderUnavailable),
        ({"error_event_after": 0, "error_event": "rate_limit_error"}, ProviderRateLimited),
        ({"error_event_after": 0, "error_event": "something_new"}, ProviderUnavailable),
    ],
)
async def test_every_failure_is_a_typed_error(scripted, provider, script, expected):
    scripted.script(script)
    outcome = await ask(provider)
    assert type(outcome.error) is expected
    assert outcome.finished is None


@pytest.mark.parametrize(
    "fault", ["cut_after", "end_after", "malformed_after", "error_event_after"]
)
async def test_text_before_a_failure_is_delivered(scripted, provider, fault):
    scripted.script({fault: 3, "token_ms": 5})
    assert (await ask(provider)).text == "leaf0 leaf1 leaf2 "


async def test_no_sentence_repeats_what_the_provider_said(scripted, provider):
    scripted.script({"status": 400, "error_message": "the secret plan"})
    error = (await ask(provider)).error
    assert error is not None
    assert "secret" not in str(error.body())


async def test_the_log_names_the_failure_but_not_its_words(scripted, provider, caplog):
    scripted.script({"status": 400, "error_message": "the secret plan"})
    await ask(provider)
    assert "status=400" in caplog.text
    assert "secret" not in caplog.text


async def test_keeps_the_time_that_a_limited_provider_asks_for(scripted, provider):
    scripted.script({"status": 429, "retry_after": "7"})
    error = (await ask(provider)).error
    assert error is not None
    assert error.retry_after_s == 7


async def test_a_refused_connection_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    provider = AnthropicProvider(Endpoint(f"http://127.0.0.1:{port}", "k"))
    outcome = await ask(provider)
    await provider.aclose()
    assert type(outcome.error) is ProviderUnavailable


@pytest.mark.parametrize(
    "script",
    [
        {"first_token_ms": 60_000},
        {"stall_after": 0},
        {"stall_after": 2},
        {"pings_only": True},
        {"ping_after": 2},
    ],
)
async def test_a_provider_without_new_text_times_out_even_if_it_pings(scripted, impatient, script):
    scripted.script(script)
    outcome = await ask(impatient)
    assert type(outcome.error) is ProviderTimeout
    assert outcome.text == ("leaf0 leaf1 " if 2 in script.values() else "")


async def test_a_slow_reader_is_not_taken_for_a_stalled_provider(scripted, impatient):
    scripted.script({"tokens": 3, "hold_after": 2})
    text = ""
    async with aclosing(impatient.stream(HELLO, model_id="m")) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
                # Longer than the client's patience, on the reader's side.
                await asyncio.sleep(0.4)
                scripted.release()
    assert text == "leaf0 leaf1 leaf2 "


async def test_a_process_that_stood_still_reads_what_came_meanwhile(scripted, impatient):
    scripted.script({"tokens": 4, "token_ms": 150})
    # Longer than the client's patience, while it waits for text.
    asyncio.get_running_loop().call_later(0.2, time.sleep, 0.8)
    outcome = await ask(impatient)
    assert outcome.error is None
    assert outcome.text == "leaf0 leaf1 leaf2 leaf3 "


async def test_closing_the_stream_early_ends_the_request_at_the_provider(scripted, provider):
    scripted.script({"tokens": 5, "stall_after": 2})
    async with aclosing(provider.stream(HELLO, model_id="m")) as events:
        assert isinstance(await anext(events), TextDelta)
    await asyncio.to_thread(scripted.wait_until_closed)


async def test_cancelling_the_reader_ends_the_request_at_the_provider(scripted, provider):
    scripted.script({"stall_after": 1})
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(provider.stream(HELLO, model_id="m")) as events:
            async for _ in events:
                started.set()

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        await started.wait()
        reader.cancel()
    await asyncio.to_thread(scripted.wait_until_closed)


async def test_a_finished_answer_leaves_its_connection_for_the_next(scripted, provider):
    kept = provider._session.connector._conns
    # A machine that is busy for half a second may have one closed before its end is read.
    async with asyncio.timeout(30):
        while not kept:
            await ask(provider)
            await asyncio.sleep(0.05)
    await ask(provider)
    assert len(kept) <= 1


async def test_two_hundred_parallel_answers_do_not_mix(scripted, provider):
    scripted.script(tokens=20, first_token_ms=400, token_ms=2)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(provider)) for _ in range(200)]
    expected = "".join(f"leaf{number} " for number in range(20))
    assert {task.result().text for task in tasks} == {expected}
    assert scripted.totals()["peak_open"] > 150


async def test_nothing_is_left_open_after_failures(scripted, provider):
    for script in ({"cut_after": 1}, {"refuse": True}, {"status": 500}, {"end_after": 1}):
        scripted.script(script)
        assert isinstance((await ask(provider)).error, ProviderError)
    gc.collect()
    assert scripted.totals()["open"] == 0
