"""How far the estimate of tokens is from a tokenizer's own count. Pure, but for reading its file.

The margin is tried where it is needed most: for each kind of text, with the scale that other kinds
taught, as in a service where nobody ever wrote in this one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm.calibration import FIRST_LESSONS, MOST_OTHER, Lesson, Levels, Part, begin_levels
from llm.tokens import TOKEN_MARGIN, Scale, Size, measure

SAMPLES = Path(__file__).with_name("data") / "tokens" / "samples.json"
# Of each kind, so many lessons: more change nothing.
LESSONS = 40 * FIRST_LESSONS


@dataclass(frozen=True, slots=True)
class Measured:
    """A text's size as it is estimated, and the tokens that it really is."""

    size: Size
    tokens: int

    @property
    def part(self) -> Part | None:
        """Return what of a scale a prompt of such texts teaches."""
        if self.size.wide <= MOST_OTHER["plain"] * self.size.total:
            return "plain"
        return "wide" if self.size.plain <= MOST_OTHER["wide"] * self.size.total else None

    def ratio(self, scale: Scale) -> float:
        return self.tokens / scale.count(self.size)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind's errors, as shares of the truth: what was estimated too low is positive.

    All are of single texts by the scale in use, but `needed`: the truth over the estimate of the
    worst one by the least scale that any kind teaches. A prompt of such texts does not fit if that
    is above the margin. `beyond` is the share of texts that are above it by the scale in use.
    """

    kind: str
    texts: int
    bias: float
    p50: float
    p95: float
    most: float
    beyond: float
    needed: float

    @property
    def is_covered(self) -> bool:
        return self.needed <= TOKEN_MARGIN


def read_samples(path: Path = SAMPLES) -> dict[str, list[str]]:
    """Return texts by kind."""
    read = json.loads(path.read_text(encoding="utf-8"))
    return {kind: texts for kind, texts in read.items() if kind != "licence"}


def measure_text(text: str, tokens: int) -> Measured:
    return Measured(measure(text), tokens)


def teach(texts: Sequence[Measured], first: Levels) -> Levels:
    """Return what prompts of such texts alone would teach, at length."""
    scale = first.scale
    lessons = [
        Lesson(one.part, _ratio_of(one, one.part, scale)) for one in texts if one.part is not None
    ]
    if not lessons:
        return first
    return first.learn(lessons[number % len(lessons)] for number in range(LESSONS))


def compare(kinds: Mapping[str, Sequence[Measured]], scale: Scale) -> list[Row]:
    """Return a row for each kind, by a scale that is in use."""
    taught = [teach(texts, begin_levels(scale)).scale for texts in kinds.values()]
    least = Scale(min(one.plain for one in taught), min(one.wide for one in taught))
    return [_compare(kind, texts, scale, least) for kind, texts in kinds.items()]


def _compare(kind: str, texts: Sequence[Measured], scale: Scale, least: Scale) -> Row:
    ratios = sorted(one.ratio(scale) for one in texts)
    errors = sorted(abs(ratio - 1) for ratio in ratios)
    beyond = sum(ratio > TOKEN_MARGIN for ratio in ratios) / len(ratios)
    return Row(
        kind,
        len(texts),
        bias=_quantile(ratios, 0.5) - 1,
        p50=_quantile(errors, 0.5),
        p95=_quantile(errors, 0.95),
        most=ratios[-1] - 1,
        beyond=beyond,
        needed=max(one.ratio(least) for one in texts),
    )


def _ratio_of(one: Measured, part: Part, scale: Scale) -> float:
    if part == "plain":
        return (one.tokens - one.size.wide * scale.wide) / one.size.plain
    return (one.tokens - one.size.plain * scale.plain) / one.size.wide


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
