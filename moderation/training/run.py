"""Learn the classifier from labelled texts: from a folder of them to the bytes of its file."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moderation.artefact import Head, Mixture, pack, unpack
from moderation.classifier import mix
from moderation.features import cut_words, hash_word
from moderation.normalise import normalise
from moderation.scorer import Scorer, passages
from moderation.training.bags import Bags, fill_bags
from moderation.training.calibrating import fit_tail, weigh_sources
from moderation.training.corpus import Example
from moderation.training.disguises import DISGUISES
from moderation.training.fitting import logistic, minimise
from moderation.training.grammar import reframe
from moderation.training.heads import (
    COMMENTS,
    GENERATIONS,
    HEADS,
    REQUESTS,
    SUPPORT,
    SURFACES,
    Task,
    set_task,
)
from moderation.training.sparse import Floats
from moderation.training.vectors import WordVectors
from moderation.types import Category, Surface

# Benign texts that no head ever learns from: what the scores' meaning is measured on.
CALIBRATION: Mapping[Surface, frozenset[str]] = {
    Surface.INPUT: frozenset({"oasst_sample", "self_instruct_seed", "taskmaster4"}),
    Surface.OUTPUT: frozenset({"gpteacher_code_out", "gpteacher_toolformer_out"}),
    Surface.COMMENT: frozenset({"surge_toxicity"}),
}
NEVER_LEARNT = frozenset().union(*CALIBRATION.values())
# Heads that judge a kind of text are calibrated on that kind, the others on all.
HEAD_SURFACES: Mapping[str, Surface] = {
    REQUESTS: Surface.INPUT,
    GENERATIONS: Surface.OUTPUT,
    COMMENTS: Surface.COMMENT,
}
_PENALTY = 3e-6
_STEPS = 80
_TOLERANCE = 1e-5
# A feature in fewer texts is chance.
_LEAST_TEXTS = 3
# Four bytes for a key and one for each head: with the second tier's file less than 5 MB.
MOST_KEYS = 4_500_000 // (4 + len(HEADS))
# One text in so many is learnt in disguise too.
_DISGUISED = 0.08
_LONGEST_LEARNT = 6_000

Told = Callable[[str, int], Callable[[], object]]
PlaceWords = Callable[[Sequence[Sequence[str]]], WordVectors]


@dataclass(frozen=True, slots=True)
class Trained:
    """The classifier's file, and how many texts it learnt from."""

    raw: bytes
    learnt: int


def train(
    examples: Sequence[Example],
    *,
    seed: int,
    told: Told,
    place_words: PlaceWords,
    without: frozenset[str] = frozenset(),
) -> Trained:
    """Return the classifier that `examples` make: the same bytes for the same examples and seed.

    Texts kept for validation or calibration, and sources in `without`, are not learnt from. `told`
    is called with the name of each stage and its length, and returns what to call at each step.
    `place_words` returns the vectors of the words of texts (`vectors.place_words`).
    """
    learnt = [
        example
        for example in examples
        if not example.is_validation and example.source not in NEVER_LEARNT | without
    ]
    learnt += reframe(learnt, seed)
    learnt += _disguise(learnt, seed)
    step = told("reading", len(learnt))
    texts = []
    for example in learnt:
        texts.append(cut_words(normalise(example.text[:_LONGEST_LEARNT])))
        step()
    learnt, texts = _add_windows(learnt, texts)
    vectors = place_words(texts)
    bags = fill_bags(texts, least=_LEAST_TEXTS, vectors=vectors)
    step = told("learning", len(HEADS))
    weights = np.empty((len(bags.keys) + vectors.directions, len(HEADS)))
    for place, head in enumerate(HEADS):
        weights[:, place] = _fit(bags, set_task(head, learnt))
        step()
    keys, weights = _prune(*_fold(bags.keys, weights, vectors))
    quantised, scales = _quantise(weights)
    heads = [Head(name, scale, 1.0, 0.0) for name, scale in zip(HEADS, scales, strict=True)]
    return Trained(_calibrate(heads, keys, quantised, examples, told), len(learnt))


def _disguise(examples: Sequence[Example], seed: int) -> list[Example]:
    draw = random.Random(seed)
    return [
        replace(example, text=DISGUISES[name](example.text, draw))
        for example in examples
        if draw.random() < _DISGUISED
        and (name := draw.choice(("leetspeak", "look-alikes", "spacing", "invisible")))
    ]


def _add_windows(
    examples: Sequence[Example], texts: Sequence[list[str]]
) -> tuple[list[Example], list[list[str]]]:
    """Add the windows over long texts of which every part is what the whole is."""
    all_examples, all_texts = list(examples), list(texts)
    for example, words in zip(examples, texts, strict=True):
        if example.is_benign or example.labels == {Category.INJECTION}:
            for part in list(passages(len(words)))[1:]:
                all_examples.append(example)
                all_texts.append(words[part])
    return all_examples, all_texts


def _fit(bags: Bags, task: Task) -> Floats:
    own = bags.only(task.rows)
    count = len(bags.keys) + bags.vectors.shape[1]
    signs = np.where(task.harmful > 0, -1.0, 1.0)

    def loss(point: Floats) -> tuple[float, Floats]:
        weights, bias = point[:count], point[count]
        scores = own.scores(weights) + bias
        value = float(np.sum(task.shares * np.logaddexp(0.0, signs * scores)))
        pulls = task.shares * (logistic(scores) - task.harmful)
        slope = np.append(own.gather(pulls) + _PENALTY * weights, np.sum(pulls))
        return value + 0.5 * _PENALTY * float(np.sum(weights * weights)), slope

    point = minimise(loss, np.zeros(count + 1), steps=_STEPS, tolerance=_TOLERANCE)
    return point[:count]


def _fold(
    keys: NDArray[np.uint32], weights: Floats, vectors: WordVectors
) -> tuple[NDArray[np.uint32], Floats]:
    """Add to each word's weight what the directions of its vector say, also for words not seen."""
    own, directions = weights[: len(keys)], weights[len(keys) :]
    word_keys = np.array([hash_word(word) for word in vectors.words], dtype=np.uint32)
    all_keys = np.union1d(keys, word_keys)
    folded = np.zeros((len(all_keys), weights.shape[1]))
    folded[np.searchsorted(all_keys, keys)] = own
    by_vector = np.einsum("ij,jk->ik", vectors.rows.astype(np.float64), directions)
    np.add.at(folded, np.searchsorted(all_keys, word_keys), by_vector)
    return all_keys, folded


def _prune(keys: NDArray[np.uint32], weights: Floats) -> tuple[NDArray[np.uint32], Floats]:
    """Return the features that matter most to any head, as many as the file may hold."""
    spread = np.sqrt(np.mean(weights * weights, axis=0))
    importance = np.max(np.abs(weights) / np.maximum(spread, 1e-12), axis=1)
    order = np.argsort(-importance, kind="stable")[:MOST_KEYS]
    kept = np.sort(order)
    return keys[kept], weights[kept]


def _quantise(weights: Floats) -> tuple[NDArray[np.int8], list[float]]:
    """Return the weights as signed bytes, and what one step of each head's is worth."""
    # The few highest are cut, so that the many are told apart.
    most = np.maximum(np.quantile(np.abs(weights), 0.99999, axis=0), 1e-9)
    roots = np.sqrt(np.minimum(np.abs(weights) / most, 1.0))
    steps = np.sign(weights) * np.rint(roots * 127.0)
    return steps.astype(np.int8), [float(np.float32(value / 127.0**2)) for value in most]


def _calibrate(
    heads: list[Head],
    keys: NDArray[np.uint32],
    weights: NDArray[np.int8],
    examples: Sequence[Example],
    told: Told,
) -> bytes:
    surfaces = {
        surface.value: Mixture(tuple(mixed), tuple(mixed.values()), 1.0, 0.0, SUPPORT[surface])
        for surface, mixed in SURFACES.items()
    }
    scorer = Scorer(unpack(pack(heads=heads, surfaces=surfaces, keys=keys, weights=weights)))
    benign = {
        surface: [e for e in examples if e.is_benign and e.source in sources]
        for surface, sources in CALIBRATION.items()
    }
    step = told("calibrating", sum(map(len, benign.values())))
    odds = {surface: _score_all(scorer, chosen, step) for surface, chosen in benign.items()}
    shares = {s: weigh_sources([e.source for e in chosen]) for s, chosen in benign.items()}
    everything = np.concatenate(list(odds.values()))
    share_of_all = np.concatenate(list(shares.values()))
    fitted = []
    for place, head in enumerate(heads):
        surface = HEAD_SURFACES.get(head.name)
        own = odds[surface] if surface else everything
        slope, shift = fit_tail(own[:, place], shares[surface] if surface else share_of_all)
        fitted.append(replace(head, slope=slope, shift=shift))
    slopes = np.array([head.slope for head in fitted])
    shifts = np.array([head.shift for head in fitted])
    for surface in Surface:
        mixture = surfaces[surface.value]
        joint = odds[surface] * slopes + shifts
        mixed = [mix(dict(zip(HEADS, row, strict=True)), mixture) for row in joint.tolist()]
        slope, shift = fit_tail(np.array(mixed), shares[surface])
        surfaces[surface.value] = replace(mixture, slope=slope, shift=shift)
    return pack(heads=fitted, surfaces=surfaces, keys=keys, weights=weights)


def _score_all(scorer: Scorer, examples: Sequence[Example], step: Callable[[], object]) -> Floats:
    rows = []
    for example in examples:
        rows.append(scorer.odds(scorer.cut(normalise(example.text))))
        step()
    return np.array(rows, dtype=np.float64)
