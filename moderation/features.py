"""Cut a read text into words, phrases and pieces of words, each known by a hash."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

Coded = tuple[int, bytes]

# Shortest and longest piece of a word.
PIECES = range(3, 6)
# Longer words are cut: nobody's vocabulary, and each piece costs time.
LONGEST_WORD = 40
_TOKEN = re.compile(r"[^\W_]+|[!?]")
_APOSTROPHE = str.maketrans("", "", "'\u2019\u02bc`")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")


def cut_words(text: str) -> list[str]:
    """Return the words of a normalised text, in order; digits become one mark per length."""
    if "://" in text or "www." in text:
        text = _ADDRESS.sub(" url ", text)
    return [
        "0" * len(word) if word.isdigit() else word[:LONGEST_WORD]
        for word in _TOKEN.findall(text.translate(_APOSTROPHE))
    ]


def hash_word(word: str) -> int:
    """Return the 32-bit key of a word as a whole."""
    return crc32(word.encode(errors="replace"), 1)


def hash_pieces(word: str) -> list[int]:
    """Return the keys of the pieces of three to five letters within a word, its ends marked."""
    if len(word) < 3:
        return []
    marked = f"<{word}>".encode(errors="replace")
    return list(
        {
            crc32(marked[start : start + length], 2)
            for length in PIECES
            for start in range(len(marked) - length + 1)
        }
    )


def hash_phrases(words: Sequence[Coded]) -> list[int]:
    """Return the keys of all pairs and triples of neighbouring words, with repetitions."""
    pairs = [crc32(second, first) for (first, _), (_, second) in pairwise(words)]
    triples = [crc32(third, pair) for pair, (_, third) in zip(pairs, words[2:], strict=False)]
    return pairs + triples


@lru_cache(maxsize=65_536)
def code_word(word: str) -> Coded:
    """Return what a word is to a phrase that begins with it, and to one that goes on with it."""
    raw = word.encode(errors="replace")
    return crc32(raw, 3), b" " + raw
