"""Turn texts into sparse matrices: texts to words and phrases, words to their pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from moderation.features import code_word, hash_phrases, hash_pieces, hash_word
from moderation.training.sparse import Floats, Ints, Sparse
from moderation.training.vectors import WordVectors
from moderation.weighing import PHRASES, SMOOTHING, weigh_pieces


@dataclass(frozen=True, slots=True)
class Bags:
    """Texts as what occurs in them; `keys` are the hashes of the features, ascending."""

    keys: NDArray[np.uint32]
    words: Sparse
    phrases: Sparse
    parts: Sparse
    vectors: Floats
    norms: Floats

    def scores(self, weights: Floats) -> Floats:
        """Return the sum of the weights of what is in each text, by its norm.

        `weights` has one for each key, then one for each direction of the word vectors.
        """
        own, directions = weights[: len(self.keys)], weights[len(self.keys) :]
        # Not by BLAS, whose sums depend on the number of threads.
        words = self.parts.times(own) + np.einsum("ij,j->i", self.vectors, directions)
        return (self.words.times(words) + self.phrases.times(own)) / self.norms

    def gather(self, pulls: Floats) -> Floats:
        """Return how the scores pull at each weight (the transpose of `scores`)."""
        pulls = pulls / self.norms
        words = self.words.transposed_times(pulls)
        own = self.parts.transposed_times(words) + self.phrases.transposed_times(pulls)
        return np.concatenate([own, np.einsum("ij,i->j", self.vectors, words)])

    def only(self, rows: Ints) -> Bags:
        """Return the bags of these texts alone."""
        return Bags(
            self.keys,
            self.words.only(rows),
            self.phrases.only(rows),
            self.parts,
            self.vectors,
            self.norms[rows],
        )


def fill_bags(texts: Sequence[Sequence[str]], *, least: int, vectors: WordVectors) -> Bags:
    """Return the bags of texts that are cut into words.

    Features that occur in fewer than `least` texts are left out, but count for the norms.
    """
    vocabulary: dict[str, int] = {}
    word_rows: list[int] = []
    word_columns: list[int] = []
    word_values: list[float] = []
    phrase_rows: list[NDArray[np.int32]] = []
    phrase_keys: list[NDArray[np.uint32]] = []
    norms = np.empty(len(texts))
    for row, words in enumerate(texts):
        counts = Counter(words)
        for word, count in counts.items():
            word_rows.append(row)
            word_columns.append(vocabulary.setdefault(word, len(vocabulary)))
            word_values.append(1.0 + log(count))
        norms[row] = sqrt(len(counts) + SMOOTHING)
        phrases = hash_phrases([code_word(word) for word in words])
        keys = np.unique(np.array(phrases, dtype=np.uint32))
        phrase_keys.append(keys)
        phrase_rows.append(np.full(len(keys), row, dtype=np.int32))
    columns = np.array(word_columns, dtype=np.int32)
    in_texts = np.bincount(columns, minlength=len(vocabulary))
    parts = _list_parts(vocabulary)
    all_phrases = np.concatenate(phrase_keys)
    keys = _choose_keys(all_phrases, parts[1], in_texts[parts[0]], least)
    known_phrases, phrase_columns = _find(keys, all_phrases)
    known_parts, part_columns = _find(keys, parts[1])
    return Bags(
        keys,
        Sparse(
            np.array(word_rows, dtype=np.int32),
            columns,
            np.array(word_values, dtype=np.float32),
            (len(texts), len(vocabulary)),
        ),
        Sparse(
            np.concatenate(phrase_rows)[known_phrases],
            phrase_columns,
            np.full(len(phrase_columns), PHRASES, dtype=np.float32),
            (len(texts), len(keys)),
        ),
        Sparse(
            parts[0][known_parts], part_columns, parts[2][known_parts], (len(vocabulary), len(keys))
        ),
        vectors.lay_out(list(vocabulary)),
        norms,
    )


def _list_parts(
    vocabulary: Iterable[str],
) -> tuple[NDArray[np.int32], NDArray[np.uint32], NDArray[np.float32]]:
    rows: list[int] = []
    keys: list[int] = []
    values: list[float] = []
    for row, word in enumerate(vocabulary):
        pieces = hash_pieces(word)
        rows += [row] * (len(pieces) + 1)
        keys += [hash_word(word), *pieces]
        values += [1.0, *[weigh_pieces(len(pieces))] * len(pieces)]
    return (
        np.array(rows, dtype=np.int32),
        np.array(keys, dtype=np.uint32),
        np.array(values, dtype=np.float32),
    )


def _choose_keys(
    phrases: NDArray[np.uint32], parts: NDArray[np.uint32], in_texts: Ints, least: int
) -> NDArray[np.uint32]:
    keys, where = np.unique(np.concatenate([phrases, parts]), return_inverse=True)
    weights = np.concatenate([np.ones(len(phrases)), in_texts])
    return keys[np.bincount(where, weights=weights) >= least]


def _find(
    keys: NDArray[np.uint32], wanted: NDArray[np.uint32]
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1).astype(np.int32)
    known = keys[places] == wanted
    return known, places[known]
