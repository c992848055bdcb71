from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given, strategies as st

from moderation.gate import LEAST_HOLD_BACK, MOST_HOLD_BACK, OutputGate, Violation
from moderation.policy import Action, Decision
from moderation.types import Category, Scores, Surface

SPAN = "the forbidden recipe"
SCORES = Scores(
    risk=1.0, categories=dict.fromkeys(Category, 0.0), rules=(), blocks=False, version="test"
)


def judge(text: str, start: int, end: int) -> Decision | None:
    """Refuse what holds the span, flag what holds a doubt."""
    if SPAN in text[start:end]:
        return decided(Action.BLOCK)
    return decided(Action.FLAG) if "doubt" in text[start:end] else None


def decided(action: Action) -> Decision:
    return Decision(action, Surface.OUTPUT, Category.ILLICIT, 0.9, SCORES, 0)


def feed(gate: OutputGate, text: str, sizes: list[int], shown: list[str]) -> None:
    """Feed the text in pieces of these sizes, over and over; add to `shown` what is let out."""
    at = 0
    for size in cycle(sizes):
        if at >= len(text):
            return
        shown.append(gate.feed(text[at : at + size]))
        at += size


FILLER = "Words that mean nothing much at all. " * 20


@given(
    offset=st.integers(min_value=6, max_value=500),
    sizes=st.lists(st.integers(min_value=1, max_value=120), min_size=1, max_size=5),
    hold_back=st.integers(min_value=LEAST_HOLD_BACK, max_value=MOST_HOLD_BACK),
)
def test_nothing_of_a_span_as_long_as_the_hold_back_is_let_out_wherever_it_stands(
    offset: int, sizes: list[int], hold_back: int
) -> None:
    span = ("the forbidden recipe " * 8)[:hold_back]

    def judge_span(text: str, start: int, end: int) -> Decision | None:
        return decided(Action.BLOCK) if span in text[start:end] else None

    gate = OutputGate(judge_span, hold_back=hold_back)
    shown: list[str] = []
    text = FILLER[:offset] + span + FILLER
    with pytest.raises(Violation) as found:
        feed(gate, text, sizes, shown)
        gate.finish()
    assert len("".join(shown)) <= offset
    assert text.startswith("".join(shown))
    assert span in found.value.text


@pytest.mark.parametrize("length", range(1, 300))
def test_every_answer_is_judged_as_a_whole(length: int) -> None:
    asked = []

    def note(text: str, start: int, end: int) -> None:
        asked.append((start, end))

    gate = OutputGate(note, hold_back=80)
    feed(gate, FILLER[:length], [7], [])
    gate.finish()
    assert (0, length) in asked


@given(
    text=st.text(alphabet="ab \n", max_size=900),
    sizes=st.lists(st.integers(min_value=1, max_value=120), min_size=1, max_size=5),
)
def test_a_clean_answer_comes_out_whole_and_in_order(text: str, sizes: list[int]) -> None:
    gate = OutputGate(judge, hold_back=80)
    let_out: list[str] = []
    feed(gate, text, sizes, let_out)
    shown = "".join(let_out)
    assert text.startswith(shown)
    assert shown + gate.held == text == gate.text
    assert shown + gate.finish() == text


def test_the_first_word_is_let_out_at_once() -> None:
    gate = OutputGate(judge, hold_back=80)
    assert gate.feed("Surely there") == "Surely "
    assert gate.feed(" is more") == ""


def test_a_first_word_that_is_longer_than_any_is_held() -> None:
    assert OutputGate(judge, hold_back=80).feed("x" * 41) == ""
    assert OutputGate(judge, hold_back=80).feed("x" * 40) == "x" * 40


def test_what_comes_at_once_is_let_out_but_for_a_stride_and_the_hold_back() -> None:
    gate = OutputGate(judge, hold_back=80)
    assert gate.feed(FILLER[:400]) == FILLER[:240]


def test_the_last_words_of_an_earlier_attempt_are_judged_again() -> None:
    for hold_back in (0, 80):
        gate = OutputGate(judge, hold_back=hold_back, text=FILLER[:300] + SPAN)
        with pytest.raises(Violation):
            gate.finish()


def test_a_first_word_that_a_rule_may_go_on_from_is_held() -> None:
    gate = OutputGate(judge, hold_back=80)
    assert gate.feed("ignore all") == ""


def test_text_flows_evenly_behind_the_hold_back() -> None:
    gate = OutputGate(judge, hold_back=80)
    let_out = [len(gate.feed("tick ")) for _ in range(200)]
    assert set(let_out[40:]) == {5}


def test_without_a_hold_back_text_is_shown_at_once_and_found_late() -> None:
    gate = OutputGate(judge, hold_back=0)
    assert gate.feed(SPAN) == SPAN
    with pytest.raises(Violation):
        gate.finish()


def test_what_only_the_whole_answer_shows_is_found_at_its_end() -> None:
    def suspicious(text: str, start: int, end: int) -> Decision | None:
        bad = not start and text.startswith("begin") and text[:end].endswith("end")
        return decided(Action.BLOCK) if bad else None

    gate = OutputGate(suspicious, hold_back=80)
    gate.feed("begin " + FILLER[:500] + "end")
    with pytest.raises(Violation):
        gate.finish()


def test_what_is_only_doubted_is_shown_and_remembered() -> None:
    gate = OutputGate(judge, hold_back=80)
    gate.feed("There is a doubt about this. " + FILLER)
    assert gate.finish()
    assert gate.flagged is not None
    assert gate.flagged.action is Action.FLAG


def test_an_attempt_goes_on_after_what_an_earlier_one_showed() -> None:
    gate = OutputGate(judge, hold_back=80, text="Shown before, the forbidden")
    with pytest.raises(Violation):
        gate.feed(" recipe" + FILLER)


@pytest.mark.parametrize("hold_back", [1, 79, 161])
def test_a_hold_back_that_windows_do_not_cover_is_refused(hold_back: int) -> None:
    with pytest.raises(ValueError, match="hold-back"):
        OutputGate(judge, hold_back=hold_back)
