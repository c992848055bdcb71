"""The fake itself: tests that rest on it are worth what it is worth."""

from __future__ import annotations

import urllib.error

import pytest

from llm.errors import ProviderRejected
from llm.types import Prompt, Turn
from tests.fakes.choosing import tagged
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
    # What comes close together may be read together.
    assert "".join(outcome.texts) == "leaf0 leaf1 leaf2 leaf3 leaf4 "


def asked(question: str, *, started: str | None = None) -> Prompt:
    turns = [Turn("user", question)]
    if started is not None:
        turns.append(Turn("assistant", started))
    return Prompt(system="", turns=tuple(turns), max_output=64)


async def test_a_tag_in_the_newest_question_chooses_the_script(scripted, provider):
    scripted.script_tags({"a": [{"text": "first a"}, {"text": "later a"}], "b": [{"text": "b"}]})
    asked_before = Prompt("", (Turn("user", tagged("Hm?", "a")), Turn("user", "Untagged")), 64)
    tags = [asked(tagged("Say it.", tag)) for tag in ("a", "b", "a", "a")]
    texts = [(await ask(provider, prompt)).text for prompt in (asked_before, *tags)]
    assert texts[0].startswith("leaf0")
    assert texts[1:] == ["first a", "b", "later a", "later a"]


@pytest.mark.parametrize("kept", range(len("ab😀c̈ d") + 1))
async def test_goes_on_from_any_place_of_a_started_answer(scripted, provider, kept):
    whole = "ab😀c̈ d"
    scripted.script_tags({"x": [{"chunks": ["ab😀c", "̈ ", "d"]}]})
    prompt = asked(tagged("Go on.", "x"), started=whole[:kept])
    outcome = await ask(provider, prompt)
    assert outcome.text == whole[kept:]


async def test_refuses_a_started_answer_that_is_not_its_own(scripted, provider):
    scripted.script_tags({"x": [{"text": "one two"}]})
    for started in ("one three", "one two three"):
        outcome = await ask(provider, asked(tagged("Go on.", "x"), started=started))
        assert isinstance(outcome.error, ProviderRejected)
    assert scripted.totals()["mismatched"] == 2


async def test_a_hosted_model_does_not_go_on(scripted, provider):
    scripted.script(text="one two")
    outcome = await ask(provider, asked("Go on.", started="one"), model_id="claude-haiku-5-5")
    assert isinstance(outcome.error, ProviderRejected)
    assert scripted.totals()["mismatched"] == 0
