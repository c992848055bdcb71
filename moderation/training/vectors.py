"""Where words lie to each other, so that a word nobody trained on is judged by its neighbours.

The sentence model all-MiniLM-L6-v2 (Apache-2.0) was given each word alone; its answers were
centred, turned to the 64 directions of greatest spread and rounded to bytes. The classifier learns
a weight for each direction, which folds into one weight a word: scoring costs nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from moderation.training.sparse import Floats

DIMENSIONS = 64
# How long a word's vector is beside its own weight of 1: the longer, the more neighbours count.
_LENGTH = 2.0


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Words in the order of the alphabet, and a row for each."""

    words: tuple[str, ...]
    rows: NDArray[np.float64]

    def lay_out(self, vocabulary: Sequence[str]) -> Floats:
        """Return a row for each word of `vocabulary`: nothing for words that are not known."""
        places = {word: place for place, word in enumerate(self.words)}
        rows = np.zeros((len(vocabulary), DIMENSIONS))
        for row, word in enumerate(vocabulary):
            if (place := places.get(word)) is not None:
                rows[row] = self.rows[place]
        return rows


@cache
def read_vectors() -> WordVectors:
    """Return the word vectors that come with the project."""
    folder = files("moderation.training") / "vectors"
    words = tuple((folder / "words.txt").read_text(encoding="utf-8").split())
    raw = np.frombuffer((folder / "vectors.i8").read_bytes(), dtype=np.int8)
    rows = raw.reshape(len(words), DIMENSIONS).astype(np.float64)
    return WordVectors(words, rows * (_LENGTH / np.sqrt(np.mean(np.sum(rows * rows, axis=1)))))
