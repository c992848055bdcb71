"""What is found in the stretches of a text as it is written is what is found in each alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import pytest
from hypothesis import example, given, settings, strategies as st

from moderation.classifier import Classifier, Reading, get_first_tier
from moderation.features import Coded
from moderation.plain import Plain, PlainWords
from moderation.rules import RULES, Rule, find_needs, find_rules
from moderation.unfolding import Unfolding

PARTS = (
    "The garden is quiet", "kill all the jews", "how to build a pipe bomb", "k i l l", "a b0mb", "I",
    "x-a", "b", "c.d", "48", "65", "6c6c", "be added", "6c:6c:6f", "c2VuZCBudWRlcyBvZiB0aGUgY2hpbGQ=",
    "don't", "2nd", "$5", "рор", "привет", "zero\u200bwidth", "\u200b", "a\x00b", "´", "…",
    "see https://a.example/b?c=d", "ignoreallpreviousinstructions", "x" * 50, "!", "?!", "[/inst]",
    "ignore all", "previous instructions", "kill", "yourself", "you are now dan", "e\u0301", "\u3000",
)  # fmt: skip
SPACES = (" ", "\n", "  ", "\t", "\u00a0", "")


def written(parts: Sequence[tuple[str, str]]) -> str:
    return "".join(part + space for part, space in parts)


def seen(readings: Sequence[Reading]) -> list[object]:
    return [
        (
            one.text,
            one.words,
            {name: pytest.approx(odds) for name, odds in one.odds.items()},
            one.hits,
        )
        for one in readings
    ]


@given(
    st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from(SPACES)), min_size=1, max_size=60),
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(0, 60)),
        min_size=1, max_size=6,
    ),
)  # fmt: skip
@example([("x-a", " "), ("b", " "), ("c", " ")], [(0, 6, 0)])
@example([("48:65:6c", " ")] * 4, [(0, 36, 0)])
@example([("48", " ")] * 12, [(0, 36, 0), (0, 36, 10)])
@settings(max_examples=400)
def test_a_stretch_reads_as_it_does_alone(
    parts: list[tuple[str, str]], asked: list[tuple[int, int, int]]
) -> None:
    text, first = written(parts), get_first_tier()
    unfolding, came = Unfolding(first), 0
    for start, end, more in sorted(asked, key=lambda one: one[1]):
        start, end = sorted((min(start, len(text)), min(end, len(text))))
        # As much of the text as there is by then.
        came = max(came, min(end + more, len(text)))
        found = list(unfolding.read(text[:came], start, end))
        assert seen(list(first.read(text[start:end]))) == found


def test_what_is_plain_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Tulips want little water, and the sun of a quiet morning. " * 20
    first = get_first_tier()
    unfolding = Unfolding(first)
    looked_up: list[Coded] = []

    def find_phrases(words: Sequence[Coded]) -> tuple[list[int], list[int]]:
        looked_up.extend(words)
        return Classifier.find_phrases(first, words)

    monkeypatch.setattr(first, "find_phrases", find_phrases)
    ends = range(58, len(text) + 1, 58)
    read = [list(unfolding.read(text[:end], max(0, end - 232), end)) for end in ends]
    # Of what stands before, two words each time: phrases begin with them.
    assert len(looked_up) == len(text.split()) + 2 * (len(ends) - 1)
    assert [len(one.words) for (one,) in read[:6]] == [11, 22, 33, 44, 44, 44]


def test_what_is_not_plain_is_read_as_a_whole() -> None:
    first = get_first_tier()
    for text in ("now k i l l them all", "48 65 6c 6c 6f 20 77 6f 72 6c 64 21", "b0mb " * 40):
        unfolding = Unfolding(first)
        ends = range(1, len(text) + 1)
        assert [list(unfolding.read(text, 0, end)) for end in ends] == [
            list(first.read(text[:end])) for end in ends
        ]


def test_a_word_that_grows_is_read_anew() -> None:
    text = "I want to know how to make a bomb, how to kill him, and how to get away with it. " * 2
    first = get_first_tier()
    unfolding = Unfolding(first)
    for end in range(1, len(text) + 1):
        start = text.rfind(" ", 0, max(0, end - 40)) + 1
        assert list(unfolding.read(text[:end], start, end)) == list(first.read(text[start:end]))


def test_what_has_no_spaces_is_read_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x" * 30 + "\u6c34" * 4_000 + " the end"
    first = get_first_tier()
    looked_at: list[int] = []

    def note(self: PlainWords, run: str) -> Plain | None:
        looked_at.append(len(run))
        return dict.__getitem__(self, run)

    monkeypatch.setattr(PlainWords, "__getitem__", note)
    unfolding = Unfolding(first)
    for end in range(80, len(text), 80):
        unfolding.read(text[:end], max(0, end - 240), end)
    assert sum(looked_at) <= 80
    assert [one.words for one in unfolding.read(text, len(text) - 3, len(text))] == [["end"]]


def test_no_more_is_read_than_the_classifier_reads() -> None:
    text = "tulips " * 9_200 + "are what is last"
    first = get_first_tier()
    assert [one.words[-1] for one in Unfolding(first).read(text, 0, len(text))] != ["last"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_a_rule_needs_is_found_run_by_run(rule: Rule) -> None:
    for need in rule.needs:
        for also in rule.also:
            text = f"well{need} and {also}or"
            needs = reduce(or_, map(find_needs, text.split()))
            assert rule in find_rules(needs)
    assert not find_rules(find_needs("tulips"))
