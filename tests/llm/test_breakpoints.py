from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from llm.providers.anthropic_request import encode_question
from llm.providers.breakpoints import ANCHOR_EVERY, find_breakpoints
from llm.types import Prompt, Turn
from tests.llm.prompt_cache import MAX_MARKS, PromptCache

LONG = "Bees fly from flower to flower and carry what they find home. " * 40
LEAST = 512


def conversation(turns: int, *, system: str = LONG, opening: str = "") -> Prompt:
    """Return a prompt of so many turns, the last of them a question."""
    said = tuple(
        Turn("assistant" if n % 2 else "user", f"{opening}Turn {n}.") for n in range(turns)
    )
    return Prompt(system, said, 100)


def body(prompt: Prompt, *, least: int | None = LEAST) -> bytes:
    return encode_question(prompt, model_id="m", thinking=None, least_cached=least)


def test_each_turn_reads_the_whole_prompt_of_the_turn_before():
    cache = PromptCache()
    sent = 0
    for turns in range(1, 120, 2):
        prompt = conversation(turns)
        assert cache.ask(body(prompt)) == sent
        sent = 1 + turns


def test_a_summary_is_kept_as_a_block_of_its_own_and_another_one_costs_no_system_text():
    cache = PromptCache()
    first = replace(conversation(41), memory="Her name is Ada.")
    assert cache.ask(body(first)) == 0
    assert cache.ask(body(replace(conversation(43), memory=first.memory))) == 1 + 1 + 41
    assert cache.ask(body(replace(conversation(9), memory="Her name is Eve."))) == 1
    assert cache.ask(body(replace(conversation(1, opening="x"), memory=first.memory))) == 2


def test_a_system_text_too_short_to_be_kept_is_kept_with_the_summary():
    prompt = replace(conversation(3, system="Be kind."), memory=LONG)
    marks = find_breakpoints(prompt, least_tokens=LEAST)
    assert (marks.system, marks.memory) == (False, True)


def test_a_regenerated_answer_reads_the_whole_prompt_again():
    cache = PromptCache()
    cache.ask(body(conversation(9)))
    assert cache.ask(body(conversation(9))) == 10


def test_an_edited_question_reads_what_stands_before_it():
    cache = PromptCache()
    for turns in range(1, 12, 2):
        cache.ask(body(conversation(turns)))
    prompt = conversation(9)
    edited = Prompt(prompt.system, (*prompt.turns[:-1], Turn("user", "Other.")), 100)
    # The system text, and the turns up to the question before, with which an answer was asked for.
    assert cache.ask(body(edited)) == 1 + 7


@pytest.mark.parametrize("others", range(0, 2 * ANCHOR_EVERY, 2))
@pytest.mark.parametrize("own", [1, 15, 17, 31, 33, 47])
def test_turns_that_another_model_answered_cost_at_most_one_anchor(own, others):
    cache = PromptCache()
    for turns in range(1, own + 1, 2):
        cache.ask(body(conversation(turns)))
    read = cache.ask(body(conversation(own + 2 + others)))
    assert read >= own + 1 - ANCHOR_EVERY
    if others < ANCHOR_EVERY:
        assert read == own + 1


def test_another_conversation_reads_the_system_text():
    cache = PromptCache()
    cache.ask(body(conversation(5)))
    assert cache.ask(body(conversation(5, opening="Elsewhere: "))) == 1


def test_a_request_never_has_more_marks_than_the_protocol_takes():
    for turns in range(1, 200, 2):
        marked = body(conversation(turns)).count(b"cache_control")
        # One is left, for a summary.
        assert 1 <= marked < MAX_MARKS


def test_what_is_too_short_to_be_kept_is_not_marked():
    assert b"cache_control" not in body(conversation(3, system="Be kind."))
    # The system text is too short, and with the first question it is long enough.
    marks = find_breakpoints(
        Prompt("Be kind.", (Turn("user", LONG), Turn("assistant", "Yes."), Turn("user", "So?")), 9),
        least_tokens=LEAST,
    )
    assert (marks.system, marks.turns) == (False, frozenset({2}))
    assert find_breakpoints(conversation(1), least_tokens=LEAST).system


def test_an_anchor_that_is_too_near_the_start_is_not_marked():
    turns = list(conversation(21, system="").turns)
    turns[18] = Turn("user", LONG)
    marks = find_breakpoints(Prompt("", tuple(turns), 9), least_tokens=LEAST)
    assert marks.turns == frozenset({20})


def test_a_blank_turn_is_not_marked():
    prompt = conversation(2)
    blank = Prompt(prompt.system, (*prompt.turns, Turn("user", " ")), 9)
    assert find_breakpoints(blank, least_tokens=LEAST).turns == frozenset()


def test_only_the_marks_change_from_turn_to_turn():
    def unmarked(prompt: Prompt) -> list[object]:
        question = orjson.loads(body(prompt))
        blocks = [block for message in question["messages"] for block in message["content"]]
        for block in (*question["system"], *blocks):
            block.pop("cache_control", None)
        return [*question["system"], *question["messages"]]

    before, after = unmarked(conversation(17)), unmarked(conversation(19))
    assert after[: len(before)] == before


def test_a_model_that_keeps_nothing_is_sent_plain_text():
    question = orjson.loads(body(conversation(1), least=None))
    assert question["system"] == LONG
    assert question["messages"] == [{"role": "user", "content": "Turn 0."}]
