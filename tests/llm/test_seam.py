"""What a model repeats when it is told to go on, and what it does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings, strategies as st

from llm.courtesies import is_in_code, measure_courtesies
from llm.seam import Seam, SpaceSeam, cut_at_word

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
        "Sure, continuing: and then it rained.",
        "Of course! Continuing from where I left off... and then it rained.",
        "I'll continue where I left off:\n\nWe walked to the river and then it rained.",
        "Okay, picking up where I stopped:\n…and then it rained.",
        "Continuing from “the river”:\n\nand then it rained.",
        "(continued) and then it rained.",
        "**[continuing]** river and then it rained.",
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
        ("The answer is ", "sure to be continued."),
        ("It is an ", "international affair."),
        ("- First\n- ", "Continuing education\n- Third"),
        ("Then ", "continue until it is done:\n\n1. Stir"),
        ("We call this international ", "internationally known law."),
        ("```python\ndef f():\n", "    ...\n"),
        ("```\none\n", "```\n\nThat was one."),
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


@pytest.mark.parametrize(
    ("kept", "said", "whole"),
    [
        ("```python\na = 1\n", "```python\nb = 2\n```", "```python\na = 1\nb = 2\n```"),
        ("```py\na = 1\nb = ", "```py\nb = 2\n```", "```py\na = 1\nb = 2\n```"),
        (
            "~~~js\nlet total = 0;\n",
            "Here is the rest of the code:\n\n~~~js\nlet total = 0;\nrun();\n~~~",
            "~~~js\nlet total = 0;\nrun();\n~~~",
        ),
        (
            "```js\nrun();\n```\n\n",
            "```js\nstop();\n```",
            "```js\nrun();\n```\n\n```js\nstop();\n```",
        ),
        ("- one\n- ", "- two\n", "- one\n- two\n"),
        ("| a | b |\n|---|---|\n| 1 ", "| 1 | 2 |\n", "| a | b |\n|---|---|\n| 1 | 2 |\n"),
        ("Steps for today:\n", "Steps for today:\n\n1. Rest", "Steps for today:\n\n1. Rest"),
        ("Here ", "Here and there.", "Here and there."),
    ],
)
def test_layout_is_gone_on_with(kept: str, said: str, whole: str):
    for size in (1, 5, 1000):
        assert join(kept, *[said[at : at + size] for at in range(0, len(said), size)]) == whole


FRAGMENTS = st.sampled_from(
    [
        *("Sure", ", ", "continu", "ing", ":", "...", "…", "\n", " ", "```py\n", "```\n", "(", ")"),
        *("the rest", "Here is", "from where", "one two three ", "four five six ", "seven\n"),
        *("- ", "x = 1\n"),
    ]
)
TEXTS = st.lists(FRAGMENTS, max_size=12).map("".join)


@given(TEXTS, TEXTS, st.lists(st.integers(1, 9), max_size=40))
@settings(max_examples=300)
def test_how_a_text_comes_in_pieces_changes_nothing(kept: str, rest: str, sizes: list[int]):
    assert join(kept, *in_pieces(rest, sizes)) == join(kept, rest)


@given(TEXTS, TEXTS)
@settings(max_examples=300)
def test_nothing_new_is_lost(kept: str, rest: str):
    """What is taken away is a courtesy, or stands at the end of the old text."""
    seam = Seam(kept)
    shown = seam.feed(rest) + seam.finish()
    bare, new = "".join(rest.split()), "".join(shown.split())
    assert bare.endswith(new)
    gone = bare[: len(bare) - len(new)]
    courtesies = measure_courtesies(rest, in_code=is_in_code(kept), is_all=True)
    polite = "".join(rest[:courtesies].split())
    assert gone.startswith(polite)
    assert "".join(kept.split()).endswith(gone[len(polite) :])


def test_a_whole_answer_said_again_costs_little():
    kept = "".join(f"Sentence number {number} of a long answer. " for number in range(2_000))
    seam = Seam(kept)
    pieces = [kept[at : at + 5] for at in range(0, len(kept), 5)]
    began = time.process_time()
    assert not any(seam.feed(piece) for piece in pieces)
    # 50 ms for its 16,000 deltas; with the whole text searched for each it would be 4 s.
    assert time.process_time() - began < 2
    assert seam.feed("The end.") == "The end."


@given(
    st.text("ab \n\t\r\xa0", max_size=12), st.text("ab \n\t\r\xa0", max_size=12), st.integers(1, 4)
)
def test_white_space_that_a_model_was_not_shown_is_not_doubled(kept: str, rest: str, size: int):
    space = kept[len(kept.rstrip()) :]
    seam = SpaceSeam(kept)
    said = space + rest
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    assert "".join([*map(seam.feed, pieces), seam.finish()]) == rest


@pytest.mark.parametrize(
    ("kept", "said", "new"),
    [
        ("is ", "Paris", "Paris"),
        ("is ", "\n\nParis", "\n\nParis"),
        ("one:\n\n", "\n- two", "- two"),
        ("def f():\n    ", "\n    return", "return"),
    ],
)
def test_other_white_space_than_there_was_is_borne(kept: str, said: str, new: str):
    seam = SpaceSeam(kept)
    assert seam.feed(said) == new
    assert seam.finish() == ""
