"""What a model repeats when it is told to go on, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st

from llm.seam import Seam, cut_at_word

WORDS = [f"w{number}" for number in range(400)]


def join(kept: str, *pieces: str) -> str:
    """Return the text that a reader ends with."""
    seam = Seam(kept)
    shown = [seam.feed(piece) for piece in pieces]
    shown.append(seam.finish())
    return seam.kept + "".join(shown)


def in_pieces(text: str, sizes: list[int]) -> list[str]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return [*pieces, text[at:]]


def repeated_8_grams(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    grams = [tuple(words[at : at + 8]) for at in range(len(words) - 7)]
    return {gram for gram in grams if grams.count(gram) > 1}


@given(st.integers(1, 60), st.integers(1, 60), st.lists(st.integers(1, 9), max_size=40))
def test_what_does_not_repeat_is_joined_as_it_is(before: int, after: int, sizes: list[int]):
    kept = " ".join(WORDS[:before]) + " "
    rest = " ".join(WORDS[before : before + after])
    assert join(kept, *in_pieces(rest, sizes)) == kept + rest


@given(st.integers(10, 90), st.integers(8, 90), st.integers(1, 60), st.lists(st.integers(1, 30)))
def test_what_is_said_again_is_shown_once(before: int, repeated: int, after: int, sizes: list[int]):
    kept = " ".join(WORDS[:before]) + " "
    begin = max(0, before - repeated)
    rest = " ".join(WORDS[begin : before + after])
    text = join(kept, *in_pieces(rest, sizes))
    assert text.split() == WORDS[: before + after]
    assert not repeated_8_grams(text)


@given(st.text(max_size=200), st.text(max_size=200), st.lists(st.integers(1, 30), max_size=9))
@example("aaaaaaaaaaaa", "aaaaaaaaaaaaaaab", [3])
@example("\n\n", "\n\n  x", [])
def test_any_text_can_be_joined_whatever_its_pieces(kept: str, rest: str, sizes: list[int]):
    assert join(kept, *in_pieces(rest, sizes)) == join(kept, rest)


@pytest.mark.parametrize(
    "said",
    [
        "…and then it rained.",
        "... and then it rained.",
        "Sure! Continuing from where I left off:\n\nand then it rained.",
        "Here is the continuation:\nand then it rained.",
        "We walked to the river and then it rained.",
        "walked to   the river\nand then it rained.",
        "river and then it rained.",
        " and then it rained.",
    ],
)
def test_courtesies_and_repetitions_go(said: str):
    kept = "It was late. We walked to the river "
    for size in (1, 3, 1000):
        pieces = [said[at : at + size] for at in range(0, len(said), size)]
        assert " ".join(join(kept, *pieces).split()) == (
            "It was late. We walked to the river and then it rained."
        )


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("I had ", "had enough."),
        ("- one\n", "- two\n- three"),
        ("def f():\n", "    return 1\n"),
        ("It is a very ", "very long way."),
        ("Here ", "Here and there."),
        ("| --- | --- |\n| --- | --- |\n", "| --- | --- |\nend"),
        ("我们走到河边", "然后下雨了。"),
    ],
)
def test_what_may_be_meant_stays(kept: str, said: str):
    assert join(kept, said) == kept + said


def test_an_answer_that_is_begun_anew_takes_the_place_of_the_old():
    kept = "The largest ocean on Earth is the Pacific Ocean, which covers a third of it. It "
    anew = "The largest ocean on Earth is the Pacific Ocean, and it holds half of all water."
    assert join(kept, *[anew[at : at + 7] for at in range(0, len(anew), 7)]) == anew


def test_no_more_is_held_back_than_what_repeats():
    seam = Seam(" ".join(WORDS[:200]) + " ")
    shown = seam.feed("Something else begins ")
    assert shown == "Something else begins "
    assert seam.feed("and goes on") == "and goes on"


def test_a_long_repetition_does_not_take_long():
    kept = " ".join(WORDS * 5) + " "
    pieces = [word + " " for word in (kept + "end").split()]
    assert join(kept, *pieces).split() == [*kept.split(), "end"]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("one tw", "one "),
        ("one two ", "one two "),
        ("one", "one"),
        ("漢字漢字", "漢字漢字"),
        ("a" * 100, "a" * 100),
        ("x " + "a" * 100, "x " + "a" * 100),
        ("", ""),
    ],
)
def test_a_word_that_is_cut_in_two_is_left_out(text: str, whole: str):
    assert cut_at_word(text) == whole
