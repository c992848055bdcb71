"""The stretch of a text that a moderator is shown, and what in it stands out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from moderation.types import Hit, Span

# What is kept of a text for review, in characters.
LONGEST_EXCERPT = 1_200
# How finely the stretch that scores highest is looked for, in characters.
WINDOW = 240
STEP = 120


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a text, and the span in it that stands out, as Python counts characters."""

    text: str
    span: Span


def cut_excerpt(text: str, *, hits: tuple[Hit, ...], weigh: Callable[[str], float]) -> Excerpt:
    """Return what stands around the worst of a text: what a rule met, else the worst window.

    `weigh` says how bad a stretch is. It is asked for windows over at most the whole text.
    """
    if hits:
        worst = max(hits, key=lambda hit: hit.score).span
    elif len(text) <= WINDOW:
        worst = Span(0, len(text))
    else:
        worst = max(_windows(len(text)), key=lambda one: weigh(text[one.start : one.end]))
    room = max(0, LONGEST_EXCERPT - (worst.end - worst.start)) // 2
    start, end = max(0, worst.start - room), min(len(text), worst.end + room)
    cut = text[start:end][:LONGEST_EXCERPT]
    return Excerpt(cut, Span(worst.start - start, min(worst.end - start, len(cut))))


def _windows(length: int) -> Iterator[Span]:
    for start in range(0, max(1, length - WINDOW + STEP), STEP):
        yield Span(start, min(start + WINDOW, length))
