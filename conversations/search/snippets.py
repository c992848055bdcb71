"""The part of a text around what was found in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypedDict

from conversations.search.terms import Span

# About three lines of the page's narrow column.
BEFORE_CHARS = 40
SNIPPET_CHARS = 120
_SPACE = re.compile(r"\s+")


class Part(TypedDict):
    text: str
    isMatch: bool


def cut_snippet(text: str, spans: Sequence[Span]) -> list[Part]:
    """Return a piece of a text in parts, those that were found marked, white space made single.

    It begins shortly before the first place, at a word where there is one.
    """
    first = spans[0][0] if spans else 0
    start = _start_of_word(text, max(0, first - BEFORE_CHARS), first)
    end = min(len(text), start + SNIPPET_CHARS)
    parts = list(_parts(text, spans, start, end))
    if start > 0:
        parts.insert(0, {"text": "…", "isMatch": False})
    if end < len(text):
        parts.append({"text": "…", "isMatch": False})
    return parts


def _start_of_word(text: str, start: int, first: int) -> int:
    if start == 0:
        return 0
    space = _SPACE.search(text, start, first)
    return space.end() if space else start


def _parts(text: str, spans: Sequence[Span], start: int, end: int) -> Iterator[Part]:
    at = start
    for begin, stop in spans:
        # A name in code may be found as a whole and by its parts.
        begin, stop = max(begin, at), min(stop, end)
        if begin >= stop:
            continue
        if begin > at:
            yield {"text": _SPACE.sub(" ", text[at:begin]), "isMatch": False}
        yield {"text": _SPACE.sub(" ", text[begin:stop]), "isMatch": True}
        at = stop
    if at < end:
        yield {"text": _SPACE.sub(" ", text[at:end]), "isMatch": False}
