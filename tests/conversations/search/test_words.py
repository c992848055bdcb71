"""Which words a text has, and which of them a query means."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from conversations.search.snippets import SNIPPET_CHARS, cut_snippet
from conversations.search.terms import MAX_TERMS, parse_query, terms_of
from conversations.search.words import find_likely_tokens, find_tokens, split_token


def stems(text: str) -> list[str]:
    return [word.stem for token in find_tokens(text) for word in split_token(token[0])]


def is_found(query: str, text: str) -> bool:
    sought = parse_query(query)
    if sought is None:
        return False
    terms, any_of = terms_of(text), sought.any_of()
    is_candidate = sought.all_of() <= terms and (not any_of or bool(any_of & terms))
    found = sought.find_in(text, within=SNIPPET_CHARS) is not None
    assert is_candidate or not found, "the index would hide what the text has"
    return is_candidate and found


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("running", "He runs."),
        ("cafe", "Am CAFÉ vorbei"),
        ("STRASSE", "Straße"),
        ("hello", "ｈｅｌｌｏ"),
        ("книга", "о книгах"),
        ("елка", "ёлки"),
        ("東京", "私は東京タワーに行った"),
        ("猫", "黒猫です"),
        ("สวัสดี", "สวัสดีครับ"),
        ("서울", "서울에서"),
        ("हिन्दी", "हिन्दी भाषा"),
        ("שלום", "\u200fשלום\u200e"),
        ("👍", "fine 👍🏽"),
        ("c++", "written in C++."),
        ("HTTPServer", "class HTTPServer:"),
        ("server", "class HTTPServer:"),
        ("snake", "snake_case_name"),
        ("snake_case_name", "call snake_case_name()"),
        ("don't", "I don’t know"),
        ("amour", "l'amour"),
        ("3.14", "pi is 3.14"),
        ("co\u00adoperate", "cooperate"),
        ("generat", "Generations"),
        ("gen", "Generations"),
        ("gene", "Generations"),
        ("dog cat", "cats and dogs"),
        ("€", "5 €"),
    ],
)
def test_what_is_meant_is_found(query: str, text: str) -> None:
    assert is_found(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("ge", "Generations"),
        ("gen foxes", "Generations of foxes"),
        ("c++", "vitamin c"),
        ("c", "written in C++"),
        ("京東", "東京"),
        ("東タ", "東京タワー"),
        ("dog bird", "cats and dogs"),
        ("genes", "Generations"),
        ("cat", ""),
    ],
)
def test_what_is_not_meant_is_not_found(query: str, text: str) -> None:
    assert not is_found(query, text)


@pytest.mark.parametrize("text", ["", " ", "?!…", "\u200f\u200e", "\u0301", "'_'", "\0", "🏽"])
def test_what_has_no_words_is_no_query(text: str) -> None:
    assert parse_query(text) is None
    assert terms_of(text) == set()


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_every_text_is_found_by_itself(text: str) -> None:
    if parse_query(text) is not None:
        assert is_found(text, text)


@settings(max_examples=200)
@given(st.text(max_size=300), st.text(min_size=1, max_size=10))
def test_a_snippet_is_a_piece_of_the_text_with_what_was_found_marked(text: str, query: str) -> None:
    sought = parse_query(query)
    spans = (sought and sought.find_in(text, within=SNIPPET_CHARS)) or []
    parts = cut_snippet(text, spans)
    shown = "".join(part["text"] for part in parts)
    assert len(shown) <= SNIPPET_CHARS + 2
    inner = shown.removeprefix("…").removesuffix("…").split()
    assert "".join(inner) in "".join(text.split())
    if spans:
        start, end = spans[0]
        marked = next(part["text"] for part in parts if part["isMatch"])
        assert "".join(text[start:end].split()).startswith("".join(marked.split()))


def test_the_terms_of_a_pasted_book_are_bounded() -> None:
    book = " ".join(f"word{number}x" for number in range(20_000))
    assert len(terms_of(book)) < MAX_TERMS + 20
    assert stems("word" * 1_000)[0] == "word" * 16


@given(
    st.text(alphabet="aAbBzZ19_'+#-. \n", max_size=60),
    st.text(alphabet="aAbBzZ", max_size=3),
)
def test_likely_tokens_are_all_but_plain_words_that_begin_otherwise(
    text: str, initials: str
) -> None:
    def is_plain(token: str) -> bool:
        return token.isalpha() and (len(token) == 1 or token[1:].islower())

    def places(tokens: Iterable[re.Match[str]]) -> list[tuple[int, str]]:
        return [(token.start(), token[0]) for token in tokens]

    every = places(find_tokens(text))
    likely = places(find_likely_tokens(text, initials))
    assert set(likely) <= set(every)
    left_out = [token for place, token in every if (place, token) not in likely]
    assert all(is_plain(token) and token[0] not in initials for token in left_out)


def test_plain_words_that_begin_otherwise_are_left_out() -> None:
    text = "A bee buzzes; bears bake, and Zoe's camelCase x9 c++ stays"
    likely = [token[0] for token in find_likely_tokens(text, "bB")]
    assert likely == ["bee", "buzzes", "bears", "bake", "Zoe's", "camelCase", "x9", "c++"]
