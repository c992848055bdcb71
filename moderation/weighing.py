"""How much a word, its pieces and a phrase count; training and scoring must agree on it."""

from __future__ import annotations

from math import sqrt

# Beside the words of a text: one word alone is not as sure as its weight.
SMOOTHING = 2.0
# A phrase, beside a word.
PHRASES = 0.7
# All pieces of a word together, beside the word.
_PIECES = 1.0


def weigh_pieces(count: int) -> float:
    """Return what one of a word's `count` pieces counts."""
    return _PIECES / sqrt(count) if count else 0.0
