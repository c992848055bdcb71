from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from moderation.characters import LONGEST, read_character
from moderation.normalise import _LEET_SIGN, _LEET_WORD, align, normalise
from moderation.types import Span

# What disguises are made of, beside any text at all.
TRICKY = st.text(
    st.sampled_from("abcklot 013457@$!.-_*\n\u200b\u0301аеорсктΑαβﷺẞİǅ가é") | st.characters(),
    max_size=60,
)


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("How to m4k3 a b0mb", "how to make a bomb"),
        ("mаkе а bоmb", "make a bomb"),
        ("𝓴𝓲𝓵𝓵 ⓨⓞⓤ", "kill you"),
        ("z̷a̸l̶g̴o̵", "zalgo"),
        ("s\u200be\u00adx", "sex"),
        ("b.o.m.b", "bomb"),
        ("h o w   t o   m a k e", "how   to   make"),
        ("\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065", "ignore"),
        ("k1ll y0ur$elf!", "kill yourself!"),
    ],
)
def test_a_disguise_is_taken_off(disguised: str, plain: str) -> None:
    assert normalise(disguised) == plain


@pytest.mark.parametrize(
    "text",
    ["gpt4 mp3 1st 3d 4th 5km", "me@x4y.com http://a1b.c/x0y", "v1.2.3 covid19", "привет как дела"],
)
def test_what_is_no_disguise_stays(text: str) -> None:
    assert normalise(text) == text


@given(TRICKY)
def test_reading_twice_changes_nothing_more(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text("aby059@$!.- ", max_size=30))
def test_no_sign_for_a_letter_is_passed_over(text: str) -> None:
    if _LEET_WORD.search(text):
        assert _LEET_SIGN.search(text)


@given(TRICKY)
def test_a_reading_is_at_most_four_times_as_long(text: str) -> None:
    assert len(normalise(text)) <= LONGEST * len(text)


def test_every_character_reads_as_what_it_stays() -> None:
    # Every letter of living alphabets and every sign; of the many thousands alike, one in some.
    many = [*range(0x3400, 0xA000, 37), *range(0xA000, 0xAC00), *range(0xAC00, 0xF900, 37)]
    more = [*range(0xF900, 0x1_2000), *range(0x1_2000, 0x11_0000, 97), *range(0xE_0000, 0xE_0200)]
    styled = range(0x1_D000, 0x1_FC00)
    for code in [*range(0x3400), *many, *more, *styled]:
        read = read_character(chr(code))
        assert len(read) <= LONGEST
        assert "".join(map(read_character, read)) == read


@given(TRICKY)
def test_every_place_of_a_reading_lies_in_the_original_in_order(text: str) -> None:
    aligned = align(text)
    assert aligned.text == normalise(text)
    assert list(aligned.starts) == sorted(aligned.starts)
    assert all(
        0 <= start < end <= len(text)
        for start, end in zip(aligned.starts, aligned.ends, strict=True)
    )


@pytest.mark.parametrize("bomb", ["bomb", "b0mb", "b\u200bo\u200bm\u200bb", "b.o.m.b", "bоmb"])
def test_a_span_maps_back_to_what_was_written(bomb: str) -> None:
    text = f"The recipe: {bomb} at home"
    aligned = align(text)
    start = aligned.text.index("bomb")
    span = aligned.origin(Span(start, start + 4))
    assert text[span.start : span.end] == bomb


def test_an_empty_span_has_a_place_even_at_the_end() -> None:
    aligned = align("abc")
    assert aligned.origin(Span(1, 1)) == Span(1, 1)
    assert aligned.origin(Span(3, 3)) == Span(3, 3)
