"""What is seen of a question, and what of it is not looked at."""

from __future__ import annotations

import pytest

from llm.features import LONG_TOKENS, Features, measure
from llm.lexicon import BEGINNINGS, LONGEST, SHORTEST, WORDS, Kind, fold
from llm.scoring import score
from llm.tokens import estimate_tokens


def see(text: str) -> Features:
    return measure(text, tokens=estimate_tokens(text))


def test_of_a_long_question_only_its_length_is_looked_at():
    assert see("def " * 100_000) == Features(tokens=estimate_tokens("def " * 100_000))
    # A run of one letter is few tokens for its length, whatever the estimate of it.
    assert measure("a" * 100_000, tokens=1) == Features(tokens=LONG_TOKENS)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Schreibe ein Programm", Kind.CODE),
        ("напиши компилятор", Kind.CODE),
        ("コンパイラ書いて", Kind.CODE),
        ("Démontrez-le", Kind.PROVE),
        ("wie wahrscheinlich ist das", Kind.MATHS),
        ("olasılık nedir", Kind.MATHS),
        ("ÜBERSETZE DAS", Kind.SIMPLE),
        ("porównaj to", Kind.REASON),
    ],
)
def test_words_are_known_in_any_case_with_or_without_accents(text, kind):
    assert see(text).words[kind] >= 1


def test_a_word_counts_once_however_often_it_comes():
    assert see("code code code, CODE").words[Kind.CODE] == 1


def test_the_material_of_a_small_task_is_not_looked_at():
    asked = "Translate to German: why does the function return null in this script?"
    assert see(asked).words[Kind.CODE] == 0
    assert see("How do you say 'prove the theorem' in Polish?").words[Kind.PROVE] == 0
    # But code that is to be translated is code.
    assert see("Translate to Rust: def f(): return (x) => {}").words[Kind.CODE] >= 1


@pytest.mark.parametrize("text", ["a = b", "x=1", "2x + 3 = 7"])
def test_an_equals_sign_between_two_sides_is_an_equation(text):
    assert see(text).equations == 1


@pytest.mark.parametrize("text", ["", "=", "==", "a =", "= b", " = "])
def test_one_without_sides_is_none(text):
    assert see(text).equations == 0


def test_identifiers_are_what_programs_call_things():
    assert see("useEffect and my_list").identifiers == 2
    assert see("McDonald, NASA, Über-Ich, a-b").identifiers == 0


def test_nothing_scores_nothing():
    assert score(see("")).total == 0


def test_stems_can_be_found():
    assert all(SHORTEST <= len(stem) <= LONGEST for stem in BEGINNINGS)
    assert all(word.isalnum() for word in (*WORDS, *BEGINNINGS))
    # A whole word that a beginning of the same kind covers says nothing.
    for word, kind in WORDS.items():
        covered = [word[:length] for length in range(SHORTEST, len(word) + 1)]
        assert all(BEGINNINGS.get(stem) is not kind for stem in covered), word


def test_folding_leaves_plain_letters():
    assert fold("Größe ŁÓDŹ ısı Ænima") == b"grosse lodz isi aenima"
