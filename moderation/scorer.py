"""From a text to the calibrated log odds of each head, over all of it and over its windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from moderation.artefact import Artefact
from moderation.features import (
    Coded,
    code_word,
    cut_words,
    hash_phrases,
    hash_pieces,
    hash_word,
)
from moderation.segmenting import SUSPICIOUS_LETTERS, spell_otherwise, split_joined
from moderation.weighing import PHRASES, SMOOTHING, weigh_pieces

Floats = NDArray[np.float32]
# Something harmful of this length must not drown in what stands around it.
WINDOW_WORDS = 60
STEP_WORDS = 40
# Up to so many words are one passage and not worth windows.
_WHOLE_WORDS = 90
# A word costs about 300 bytes here; what people write repeats itself.
_REMEMBERED_WORDS = 50_000
_NOTHING = -20.0
# What a word counts by how often it is there; more often than the last one changes nothing.
_SHARES = np.append(0.0, 1.0 + np.log(np.arange(1, 65_536))).astype(np.float32)


def passages(count: int) -> Iterator[slice]:
    """Yield the whole of `count` words and, where they are many, the windows over them."""
    yield slice(0, count)
    if count > _WHOLE_WORDS:
        for start in range(0, count - WINDOW_WORDS + STEP_WORDS, STEP_WORDS):
            yield slice(start, min(start + WINDOW_WORDS, count))


def _join(counts: NDArray[np.int64], vectors: Floats, phrases: Floats) -> Floats:
    """Return what each head makes of a passage: of its words, how often each, and its phrases."""
    # What says one word over and over says no more than the word; nothing like it was learnt.
    repeated = np.minimum(counts, len(counts))
    total: Floats = _SHARES.take(repeated, mode="clip") @ vectors
    total += PHRASES * phrases
    total /= (len(counts) + SMOOTHING) ** 0.5
    return total


class Scorer:
    """An artefact made ready to score; remembers the words it saw. Safe between threads."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact
        self._keys = artefact.keys
        # What is greater than all keys is looked for one place after the last.
        self._ended_keys = np.append(self._keys, self._keys[-1:])
        # A last row of nothing, for what is not known.
        weights = np.vstack([artefact.weights, np.zeros_like(artefact.weights[:1])])
        self._weights = weights.astype(np.int16) * np.abs(weights.astype(np.int16))
        heads = artefact.heads
        self._factors = np.array([head.scale * head.slope for head in heads], dtype=np.float32)
        self._shifts = np.array([head.shift for head in heads], dtype=np.float32)
        self._words: dict[str, Floats] = {}
        self._mended: dict[str, tuple[str, ...]] = {}

    def cut(self, text: str) -> list[str]:
        """Return the words of a normalised text; what was misspelt or joined on purpose is mended."""
        words = cut_words(text)
        # Held here: another thread may forget them all in between.
        mended = self._mended
        if missing := [word for word in words if word not in mended]:
            if len(mended) > _REMEMBERED_WORDS:
                mended = self._mended = {}
                missing = words
            for word in missing:
                mended[word] = self._mend(word)
        return [part for word in words for part in mended[word]]

    def _mend(self, word: str) -> tuple[str, ...]:
        """Return the known words that an unknown one stands for, or the word itself."""
        if word.isdigit() or len(word) < 2 or (word.isalpha() and self._is_word(word)):
            return (word,)
        if len(word) >= SUSPICIOUS_LETTERS:
            return tuple(split_joined(word, self._is_word))
        # Also where the classifier has seen it with digits: it knows the word itself better.
        for candidate in spell_otherwise(word):
            if self._is_word(candidate):
                return (candidate,)
        return (word,)

    def odds(self, words: Sequence[str]) -> Floats:
        """Return the log odds of each head for words in order: the highest over all passages."""
        return self.weigh(words, *self.find_phrases([code_word(word) for word in words]))

    def find_phrases(self, words: Sequence[Coded]) -> tuple[list[int], list[int]]:
        """Return where in the artefact each two and each three neighbouring words stand."""
        rows = self._find(np.array(hash_phrases(words), dtype=np.uint32)).tolist()
        pairs = max(len(words) - 1, 0)
        return rows[:pairs], rows[pairs:]

    def weigh(self, words: Sequence[str], pairs: Sequence[int], triples: Sequence[int]) -> Floats:
        """Return what `odds` does for words whose phrases were found before."""
        if not words:
            return np.full(len(self._shifts), _NOTHING, dtype=np.float32)
        counted = Counter(words)
        vectors = self._read_words(list(counted))
        if len(words) <= _WHOLE_WORDS:
            # The windows of an answer that is being written, most of all that is judged.
            phrases = self._add([*{*pairs, *triples}])
            best = _join(np.array([*counted.values()]), vectors, phrases)
        else:
            best = self._weigh_passages(words, list(counted), vectors, pairs, triples)
        return best * self._factors + self._shifts

    def _weigh_passages(
        self,
        words: Sequence[str],
        distinct: list[str],
        vectors: Floats,
        pairs: Sequence[int],
        triples: Sequence[int],
    ) -> Floats:
        places = {word: place for place, word in enumerate(distinct)}
        order = np.fromiter((places[word] for word in words), dtype=np.int64, count=len(words))
        totals = []
        for part in passages(len(words)):
            counts = np.bincount(order[part], minlength=len(distinct))
            there = np.flatnonzero(counts)
            own = {*pairs[part.start : part.stop - 1], *triples[part.start : part.stop - 2]}
            totals.append(_join(counts[there], vectors[there], self._add([*own])))
        highest: Floats = np.max(totals, axis=0)
        return highest

    def _add(self, rows: Sequence[int] | NDArray[np.int64]) -> Floats:
        total: Floats = np.add.reduce(self._weights.take(rows, axis=0), axis=0, dtype=np.float32)
        return total

    def _is_word(self, part: str) -> bool:
        key = hash_word(part)
        place = int(self._keys.searchsorted(np.uint32(key)))
        return place < len(self._keys) and int(self._keys[place]) == key

    def _find(self, keys: NDArray[np.uint32]) -> NDArray[np.int64]:
        places = self._keys.searchsorted(keys)
        return np.where(self._ended_keys[places] == keys, places, len(self._keys))

    def _read_words(self, words: Sequence[str]) -> Floats:
        remembered = self._words
        if missing := [word for word in words if word not in remembered]:
            if len(remembered) > _REMEMBERED_WORDS:
                remembered = self._words = {}
                missing = list(words)
            self._learn(missing, remembered)
        return np.array([remembered[word] for word in words])

    def _learn(self, words: Sequence[str], remembered: dict[str, Floats]) -> None:
        pieces = [hash_pieces(word) for word in words]
        keys = [hash_word(word) for word in words]
        rows = self._find(np.array(list(chain(keys, *pieces)), dtype=np.uint32))
        at = len(words)
        for place, (word, own) in enumerate(zip(words, pieces, strict=True)):
            vector = self._weights[rows[place]].astype(np.float32)
            if own:
                parts = self._add(rows[at : at + len(own)])
                vector += np.float32(weigh_pieces(len(own))) * parts
                at += len(own)
            remembered[word] = vector
