from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from moderation.encodings import decode_hidden
from moderation.features import code_word, cut_words, hash_phrases, hash_pieces, hash_word
from moderation.segmenting import spell_otherwise, split_joined

WORDS = {"how", "to", "make", "bomb", "howto", "explosive", "bake", "cakes"}


def test_words_are_cut_without_apostrophes_addresses_and_numbers() -> None:
    assert cut_words("don't go to http://a.example/b, 12345!") == [
        "dont", "go", "to", "url", "00000", "!",
    ]  # fmt: skip


def test_a_word_that_is_too_long_is_cut() -> None:
    assert len(cut_words("x" * 500)[0]) == 40


@given(st.lists(st.text("abc", min_size=1, max_size=4), max_size=8))
def test_there_is_a_phrase_for_every_two_and_three_neighbours(words: list[str]) -> None:
    assert len(hash_phrases([code_word(word) for word in words])) == max(0, len(words) - 1) + max(
        0, len(words) - 2
    )


def test_keys_are_the_same_in_every_process() -> None:
    # Python's own hash is not.
    assert hash_word("bomb") == 951262834
    assert hash_pieces("ab") == []
    assert len(hash_pieces("abc")) == 6


def test_letters_without_spaces_are_parted_into_the_fewest_words() -> None:
    assert split_joined("howtomakeabomb", WORDS.__contains__) == ["howto", "make", "a", "bomb"]


@pytest.mark.parametrize("token", ["howtomakeaxqzv", "bomb", "bomb1bomb1bomb1", "a" * 301])
def test_what_is_not_made_of_known_words_stays_whole(token: str) -> None:
    assert split_joined(token, WORDS.__contains__) == [token]


@pytest.mark.parametrize(
    ("word", "meant"), [("t0", "to"), ("exp1osive", "explosive"), ("8ake", "bake")]
)
def test_signs_for_letters_are_spelt_otherwise(word: str, meant: str) -> None:
    assert meant in set(spell_otherwise(word))


def test_a_word_with_many_doubts_is_not_spelt_in_all_ways() -> None:
    assert list(spell_otherwise("iiiiiiii")) == []


@pytest.mark.parametrize(
    "text",
    [
        "x aG93IHRvIG1ha2UgYSBib21i",
        "aG93IHRvIG1ha2UgYSBib21i",
        "68 6f 77 20 74 6f 20 6d 61 6b 65 20 61 20 62 6f 6d 62",
    ],
)
def test_a_hidden_text_is_read(text: str) -> None:
    assert decode_hidden(text) == ["how to make a bomb"]


@pytest.mark.parametrize(
    "text",
    [
        "internationalisation",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "aG93IHRvIG1ha2UgYSBib2",
        "well-known/paths",
        "0123456789abcdef0123",
    ],
)
def test_what_only_looks_encoded_is_not_opened(text: str) -> None:
    assert all("bomb" not in found for found in decode_hidden(text))


def test_no_more_than_eight_hidden_texts_are_opened() -> None:
    assert len(decode_hidden("aG93IHRvIG1ha2UgYSBib21i " * 50)) == 8
