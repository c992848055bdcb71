"""How the rest of an answer is asked for, within any model's window."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from llm.catalog import ModelSpec
from llm.catalog_file import load_catalog
from llm.continuing import GO_ON, LEAST_REST, ask_on
from llm.errors import ContextOverflow
from llm.tokens import measure
from llm.types import Prompt, Turn

SPEC = replace(load_catalog().models[0], context_window=2_000, max_output=500, answer_tokens=500)
PREFILL, USER_TURN, RESTART = (
    replace(SPEC, continuation=way) for way in ("prefill", "user_turn", "restart")
)
WORD = "area "


def words(count: int) -> str:
    return WORD * count


def chat(*sizes: int) -> Prompt:
    """Return a prompt with turns of so many words, the last of them the question."""
    turns = [Turn("assistant" if at % 2 else "user", words(size)) for at, size in enumerate(sizes)]
    assert turns[-1].role == "user"
    return Prompt(system="Be kind.", turns=tuple(turns), max_output=500)


def size_of(prompt: Prompt) -> int:
    return SPEC.fitting_scale.count_prompt(prompt)


def test_an_answer_that_has_not_begun_is_asked_for_as_it_is():
    prompt = chat(10, 10, 10)
    assert ask_on(prompt, "", USER_TURN).prompt == prompt


def test_the_rest_is_as_long_as_the_whole_would_have_been():
    question = ask_on(chat(10), words(100), PREFILL)
    assert question.prompt.max_output == 500 - SPEC.token_scale.count(measure(words(100)))


def test_a_turn_of_the_models_own_ends_in_a_word():
    question = ask_on(chat(10), "One \n", PREFILL)
    assert question.prompt.turns[-1] == Turn("assistant", "One")
    assert question.kept == "One \n"
    assert question.seam is not None
    assert question.seam.feed(" \n\ntwo") == "\ntwo"
    assert ask_on(chat(10), "One", PREFILL).seam is None


@pytest.mark.parametrize("text", [" ", "\n\n", " wo"])
def test_an_answer_without_a_whole_word_is_begun_anew(text: str):
    question = ask_on(chat(10), text, USER_TURN)
    assert question.prompt == chat(10)
    assert (question.kept, question.way) == ("", "restart")


def test_older_turns_make_room_for_what_is_written():
    prompt = chat(300, 300, 300, 300, 100)
    question = ask_on(prompt, words(400), USER_TURN)
    assert len(question.prompt.turns) < len(prompt.turns) + 2
    assert question.prompt.turns[0].role == "user"
    assert question.prompt.turns[-1].text == GO_ON
    assert question.prompt.turns[-3] == prompt.turns[-1]
    assert size_of(question.prompt) + question.prompt.max_output <= SPEC.context_window


def test_what_is_too_much_beside_the_question_is_begun_anew():
    question = ask_on(chat(900), words(700), USER_TURN)
    assert question.prompt == chat(900)
    assert (question.kept, question.way) == ("", "restart")


def test_a_question_beyond_the_window_is_not_sent():
    for text in ("", words(10)):
        with pytest.raises(ContextOverflow):
            ask_on(chat(2_000), text, PREFILL)


@given(
    st.lists(st.integers(1, 500), min_size=2, max_size=9),
    st.integers(0, 900),
    st.sampled_from([PREFILL, USER_TURN, RESTART]),
)
def test_no_question_is_larger_than_the_window(sizes: list[int], written: int, spec: ModelSpec):
    prompt = chat(*sizes[1 - len(sizes) % 2 :])
    while size_of(prompt) + 500 > spec.context_window:
        prompt = replace(prompt, turns=prompt.turns[2:] or (Turn("user", words(9)),))
    question = ask_on(prompt, words(written), spec)
    asked = question.prompt
    assert asked.max_output >= LEAST_REST
    assert size_of(asked) + asked.max_output <= spec.context_window
    assert asked.turns[0].role == "user"
    assert prompt.turns[-1] in asked.turns
    roles = [turn.role for turn in asked.turns]
    assert all(one != next_one for one, next_one in itertools.pairwise(roles))
