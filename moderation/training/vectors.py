"""Where words lie to each other, so that a word nobody labelled is judged by its neighbours.

The sentence model of the second tier is given each word alone; its answers are centred and turned
to the directions of greatest spread. The classifier learns a weight for each direction, which folds
into one weight a word: scoring costs nothing for it, and needs no model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moderation.meaning import WIDTH
from moderation.training.sparse import Floats

# How long a word's vector is beside its own weight of 1: the longer, the more neighbours count.
_LENGTH = 2.0
DIRECTIONS = 64
_LEAST_TEXTS = 3
_LONGEST_WORD = 24
# Whole words among the parts of words that the sentence model knows.
_WORD = re.compile(r"[a-z]{3,}")

Told = Callable[[str, int], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Words in the order of the alphabet, and a row for each."""

    words: tuple[str, ...]
    rows: NDArray[np.float32]

    @property
    def directions(self) -> int:
        """How many numbers a word has."""
        return int(self.rows.shape[1])

    def lay_out(self, vocabulary: Sequence[str]) -> Floats:
        """Return a row for each word of `vocabulary`: nothing for words that are not known."""
        places = {word: place for place, word in enumerate(self.words)}
        rows = np.zeros((len(vocabulary), self.directions))
        for row, word in enumerate(vocabulary):
            if (place := places.get(word)) is not None:
                rows[row] = self.rows[place]
        return rows


class Encodes(Protocol):
    """A sentence model, and the words, or parts of words, that it tells apart."""

    @property
    def vocabulary(self) -> list[str]: ...

    def encode(self, text: str, *, most: int) -> NDArray[np.float32]: ...


NO_VECTORS = WordVectors((), np.zeros((0, 1), dtype=np.float32))


def choose_words(texts: Iterable[Sequence[str]], known: Iterable[str]) -> list[str]:
    """Return the words to place: those of three texts at least, and whole ones of `known`."""
    counts = Counter(word for words in texts for word in set(words))
    chosen = {
        word
        for word, count in counts.items()
        if count >= _LEAST_TEXTS and word.isalpha() and len(word) <= _LONGEST_WORD
    }
    return sorted(chosen.union(filter(_WORD.fullmatch, known)))


def place_words(texts: Iterable[Sequence[str]], encoder: Encodes, told: Told) -> WordVectors:
    """Return the vectors of the words of `texts`, and of all that the sentence model knows."""
    words = choose_words(texts, encoder.vocabulary)
    step = told("placing words", len(words))
    rows = np.empty((len(words), WIDTH))
    for place, word in enumerate(words):
        rows[place] = encoder.encode(word, most=1)[0]
        step()
    rows -= rows.mean(axis=0)
    spread, turned = np.linalg.eigh(np.einsum("ij,ik->jk", rows, rows))
    rows = np.einsum("ij,jk->ik", rows, turned[:, np.argsort(-spread)[:DIRECTIONS]])
    rows *= _LENGTH / np.sqrt(np.mean(np.sum(rows * rows, axis=1)))
    return WordVectors(tuple(words), rows.astype(np.float32))
