"""The fake itself: tests that rest on it are worth what it is worth."""

from __future__ import annotations

import urllib.error

import pytest

from tests.llm.asking import ask


async def test_scripts_are_used_in_order_and_then_the_default(scripted, provider):
    scripted.script({"text": "one"}, {"text": "two"}, text="rest")
    assert [(await ask(provider)).text for _ in range(4)] == ["one", "two", "rest", "rest"]


async def test_meters_what_a_provider_would_bill(scripted, provider):
    scripted.script({"text": "a b", "input_tokens": 5}, {"status": 500})
    await ask(provider)
    await ask(provider)
    totals = scripted.totals()
    assert (totals["requests"], totals["input_tokens"], totals["output_tokens"]) == (2, 5, 2)
    assert [request["state"] for request in scripted.requests()] == ["completed", "refused"]


async def test_reset_forgets(scripted, provider):
    scripted.script(text="x")
    await ask(provider)
    scripted.reset()
    assert scripted.requests() == []


def test_a_script_with_a_typo_is_refused(scripted):
    with pytest.raises(urllib.error.HTTPError) as caught:
        scripted.script({"txet": "x"})
    caught.value.close()


async def test_waits_the_time_it_is_told(scripted, provider):
    scripted.script({"first_token_ms": 60, "token_ms": 10, "tokens": 5})
    outcome = await ask(provider)
    assert len(outcome.texts) == 5
