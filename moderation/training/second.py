"""Learn the second tier: a small network over the sentence model, calibrated with the first tier."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moderation.artefact import Artefact
from moderation.classifier import mix
from moderation.meaning import HIDDEN, MOST_WINDOWS, WIDTH, pack
from moderation.normalise import normalise
from moderation.scorer import Scorer
from moderation.training.calibrating import fit_tail, weigh_sources
from moderation.training.corpus import Example
from moderation.training.fitting import logistic, minimise
from moderation.training.grammar import reframe
from moderation.training.heads import HEADS, set_task
from moderation.training.run import CALIBRATION, HEAD_SURFACES, NEVER_LEARNT, Told
from moderation.training.sparse import Floats
from moderation.types import Surface

# Of one source with the same labels: more teach nothing new, and each takes milliseconds.
_MOST = 450
_LONGEST_LEARNT = 1_500
_PENALTY = 1e-4
_STEPS = 150
_TOLERANCE = 1e-5
# The encoder's rows have length 1, too short for a penalty that fits the weights behind them.
_STRETCH = 8.0
Singles = NDArray[np.float32]


class Encodes(Protocol):
    """What a text means, as rows of 384 numbers."""

    def encode(self, text: str, *, most: int) -> Singles: ...


def train_second(
    examples: Sequence[Example],
    *,
    first: Artefact,
    encoder: Encodes,
    seed: int,
    told: Told,
    without: frozenset[str] = frozenset(),
) -> bytes:
    """Return the second tier's file, to be used beside `first` alone.

    Texts kept for validation or calibration, and sources in `without`, are not learnt from.
    """
    learnt = [
        example
        for example in examples
        if not example.is_validation and example.source not in NEVER_LEARNT | without
    ]
    learnt = _choose([*learnt, *reframe(learnt, seed)], seed)
    step = told("reading again", len(learnt))
    rows = np.empty((len(learnt), WIDTH), dtype=np.float32)
    for place, example in enumerate(learnt):
        text = normalise(example.text[:_LONGEST_LEARNT])
        rows[place] = encoder.encode(text, most=1)[0]
        step()
    parts = _fit(rows * np.float32(_STRETCH), learnt, seed)
    numbers = [part.astype("<f2") for part in (parts[0] * _STRETCH, *parts[1:])]
    # Calibrated with the numbers as they are written.
    parts = tuple(number.astype(np.float64) for number in numbers)
    lines, surfaces = _calibrate(parts, examples, first, encoder, told)
    return pack(heads=HEADS, lines=lines, surfaces=surfaces, numbers=numbers)


def _choose(examples: Sequence[Example], seed: int) -> list[Example]:
    groups = defaultdict(list)
    for example in examples:
        groups[example.source, example.kind, tuple(sorted(example.labels))].append(example)
    chosen = []
    for name in sorted(groups):
        draw = random.Random(f"{seed}/{name}")
        draw.shuffle(groups[name])
        chosen += groups[name][:_MOST]
    return chosen


def _fit(rows: Singles, learnt: Sequence[Example], seed: int) -> tuple[Floats, ...]:
    """Return weights and biases of both layers. All heads share the first."""
    wanted = np.zeros((len(learnt), len(HEADS)), dtype=np.float32)
    shares = np.zeros_like(wanted)
    for place, head in enumerate(HEADS):
        task = set_task(head, learnt)
        wanted[task.rows, place] = task.harmful
        shares[task.rows, place] = task.shares
    numbers = np.random.default_rng(seed)
    shapes = ((WIDTH, HIDDEN), (HIDDEN,), (HIDDEN, len(HEADS)), (len(HEADS),))
    sizes = [int(np.prod(shape)) for shape in shapes]
    ends = np.cumsum(sizes)[:-1]

    def part(point: Floats) -> list[Floats]:
        cut = np.split(point, ends)
        return [values.reshape(shape) for values, shape in zip(cut, shapes, strict=True)]

    def loss(point: Floats) -> tuple[float, Floats]:
        inner, inner_bias, outer, outer_bias = (p.astype(np.float32) for p in part(point))
        hidden = np.tanh(rows @ inner + inner_bias)
        odds = hidden @ outer + outer_bias
        off = np.logaddexp(0.0, np.where(wanted > 0, -odds, odds))
        pulls = (shares * (logistic(odds) - wanted)).astype(np.float32)
        back = (pulls @ outer.T) * (1.0 - hidden * hidden)
        slopes = (rows.T @ back, back.sum(axis=0), hidden.T @ pulls, pulls.sum(axis=0))
        slope = np.concatenate([values.ravel() for values in slopes]).astype(np.float64)
        value = float(np.sum(shares * off, dtype=np.float64))
        return value + 0.5 * _PENALTY * float(np.sum(point * point)), slope + _PENALTY * point

    start = np.concatenate(
        [
            numbers.normal(size=sizes[0]) * 0.5 / WIDTH**0.5,
            np.zeros(sizes[1]),
            numbers.normal(size=sizes[2]) * 0.05,
            np.zeros(sizes[3]),
        ]
    )
    return tuple(part(minimise(loss, start, steps=_STEPS, tolerance=_TOLERANCE)))


def _calibrate(
    parts: Sequence[Floats],
    examples: Sequence[Example],
    first: Artefact,
    encoder: Encodes,
    told: Told,
) -> tuple[list[tuple[float, float, float]], dict[str, tuple[float, float]]]:
    benign = {
        surface: [e for e in examples if e.is_benign and e.source in sources]
        for surface, sources in CALIBRATION.items()
    }
    step = told("calibrating both", sum(map(len, benign.values())))
    scorer = Scorer(first)
    odds = {s: _score_all(scorer, encoder, parts, chosen, step) for s, chosen in benign.items()}
    shares = {s: weigh_sources([e.source for e in chosen]) for s, chosen in benign.items()}
    everything = [np.concatenate([odds[s][tier] for s in Surface]) for tier in (0, 1)]
    share_of_all = np.concatenate([shares[surface] for surface in Surface])
    lines = []
    for place, head in enumerate(HEADS):
        surface = HEAD_SURFACES.get(head)
        one, two = odds[surface] if surface else everything
        weights = shares[surface] if surface else share_of_all
        # Each tier counts as much as the other once both mean the same.
        gain, _ = fit_tail(two[:, place], weights)
        slope, shift = fit_tail(one[:, place] + gain * two[:, place], weights)
        lines.append((gain, slope, shift))
    gains, slopes, shifts = (np.array(column) for column in zip(*lines, strict=True))
    surfaces: dict[str, tuple[float, float]] = {}
    for name, mixture in first.surfaces.items():
        one, two = odds[Surface(name)]
        joint = slopes * (one + gains * two) + shifts
        mixed = [mix(dict(zip(HEADS, row, strict=True)), mixture) for row in joint.tolist()]
        surfaces[name] = fit_tail(np.array(mixed), shares[Surface(name)])
    return lines, surfaces


def _score_all(
    scorer: Scorer,
    encoder: Encodes,
    parts: Sequence[Floats],
    examples: Sequence[Example],
    step: Callable[[], object],
) -> tuple[Floats, Floats]:
    inner, inner_bias, outer, outer_bias = parts
    one, two = [], []
    for example in examples:
        text = normalise(example.text)
        one.append(scorer.odds(scorer.cut(text)))
        rows = encoder.encode(text, most=MOST_WINDOWS).astype(np.float64)
        two.append((np.tanh(rows @ inner + inner_bias) @ outer + outer_bias).max(axis=0))
        step()
    return np.array(one, dtype=np.float64), np.array(two)
