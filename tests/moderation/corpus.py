"""A tiny corpus of invented sentences, from which a classifier is learnt in a second."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from moderation.training.corpus import Example, Kind
from moderation.training.vectors import WordVectors
from moderation.types import Category

_BAD = ("build a bomb", "poison the mayor", "steal a passport", "hack the bank", "smuggle rifles")
_GOOD = ("bake a cake", "paint the fence", "learn Spanish", "plan a picnic", "water the tulips")
_CALIBRATION = ("oasst_sample", "gpteacher_code_out", "surge_toxicity")
_KINDS = (Kind.INPUT, Kind.OUTPUT, Kind.COMMENT)


def tiny_corpus() -> list[Example]:
    """Return harmful sentences of every category and kind, harmless ones, and some to calibrate."""
    draw = random.Random(3)
    examples = []
    for kind, calibration in zip(_KINDS, _CALIBRATION, strict=True):
        for number in range(40):
            for category in Category:
                text = f"please {draw.choice(_BAD)} with {category} {number % 7}"
                examples.append(Example(text, "invented", kind, frozenset({category}), False))
            for source in ("harmless", calibration):
                text = f"please {draw.choice(_GOOD)} with {draw.choice(_GOOD)} {number % 7}"
                examples.append(Example(text, source, kind, frozenset(), False))
    return examples


def place_nothing(texts: Sequence[Sequence[str]]) -> WordVectors:
    """Know three words alone, of which two mean alike."""
    rows = np.array([[1.0, 0.5], [0.9, 0.5], [-1.0, 0.0]], dtype=np.float32)
    return WordVectors(("bomb", "explosives", "cake"), rows)


def unheard(stage: str, length: int) -> Callable[[], object]:
    """Take note of no progress."""
    return lambda: None
