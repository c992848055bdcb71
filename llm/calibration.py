"""Learns how finely the models of a family split text, from the usage that their answers tell.

Pure, but for what `Lessons` keeps until somebody takes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from llm.catalog import Catalog, ModelSpec
from llm.tokens import HIGHEST_SCALE, LOWEST_SCALE, UNKNOWN, Scale, measure_prompt
from llm.types import Prompt, Usage

Part = Literal["plain", "wide"]

# The level that so many of a hundred prompts do not exceed: prompts that turn out longer than
# thought do harm, shorter ones do not.
QUANTILE = 0.9
# How far one prompt moves a level, up at most; down it is a ninth of it. How wrong the estimate was
# does not matter, so one odd or lying answer moves it no further than any other.
PACE = 0.01
# A family that is new learns faster.
PACE_AT_FIRST = 0.04
FIRST_LESSONS = 100
# A scale moves in steps of 5 %, and down only when it is two steps too high: each move may shift
# where the prompts of long conversations begin, and a provider's cache of their beginnings is lost.
STEP = math.log(1.05)
SLACK_STEPS = 2
# Beyond this, the provider counted something else.
PLAUSIBLE = (0.2, 4.0)
# A short prompt tells more about its frame than about its text.
LEAST_TOKENS = 200
MOST_CHARS = 200_000
# A prompt teaches about that part of it which is nearly all of it.
MOST_OTHER = {"plain": 0.1, "wide": 0.4}
# What ends an answer counts too.
SLACK_TOKENS = 8
# Between two times that they are taken; more would only cost.
MOST_LESSONS = 16


@dataclass(frozen=True, slots=True)
class Lesson:
    """How many tokens a prompt really had, for each one that it was measured to have."""

    part: Part
    ratio: float


def is_plausible(counted: int, expected: int) -> bool:
    """Say whether a provider can have counted so many tokens where so many were expected."""
    return expected // 2 <= counted <= expected * 2 + SLACK_TOKENS


def find_lesson(prompt: Prompt, usage: Usage, scale: Scale) -> Lesson | None:
    """Return what a prompt teaches whose provider told its usage; None where that is nothing."""
    size = measure_prompt(prompt)
    if size.total < LEAST_TOKENS:
        return None
    part: Part
    if size.wide <= MOST_OTHER["plain"] * size.total:
        part, ratio = "plain", (usage.prompt_tokens - size.wide * scale.wide) / size.plain
    elif size.plain <= MOST_OTHER["wide"] * size.total:
        part, ratio = "wide", (usage.prompt_tokens - size.plain * scale.plain) / size.wide
    else:
        return None
    least, most = PLAUSIBLE
    return Lesson(part, ratio) if least <= ratio <= most else None


class Lessons:
    """What the answers of one process taught since it was last taken, a few of each family."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Lesson]] = {}

    def hear(self, spec: ModelSpec, prompt: Prompt, usage: Usage) -> None:
        """Take note of a prompt and of the usage that its provider told, where it teaches."""
        kept = self._kept.setdefault(spec.family, [])
        if len(kept) >= MOST_LESSONS or sum(len(turn.text) for turn in prompt.turns) > MOST_CHARS:
            return
        if lesson := find_lesson(prompt, usage, spec.token_scale):
            kept.append(lesson)

    def take(self) -> Mapping[str, list[Lesson]]:
        """Return what was learnt, by family, and begin anew."""
        taken, self._kept = self._kept, {}
        return {family: lessons for family, lessons in taken.items() if lessons}


@dataclass(frozen=True, slots=True)
class Level:
    """What is learnt of one part of a family's texts, as logarithms: and the step that is in use."""

    learnt: float
    step: int
    lessons: int = 0

    @property
    def in_use(self) -> float:
        return math.exp(self.step * STEP)

    def hear(self, ratio: float) -> Level:
        """Return the level after one more lesson: a running quantile, of which only steps show."""
        pace = PACE_AT_FIRST if self.lessons < FIRST_LESSONS else PACE
        is_above = math.log(ratio) > self.learnt
        learnt = self.learnt + pace * (QUANTILE if is_above else QUANTILE - 1)
        learnt = min(math.log(HIGHEST_SCALE), max(math.log(LOWEST_SCALE), learnt))
        needed = math.ceil(learnt / STEP)
        step = needed if not 0 <= self.step - needed <= SLACK_STEPS else self.step
        return Level(learnt, step, self.lessons + 1)


@dataclass(frozen=True, slots=True)
class Levels:
    """What is learnt of a family."""

    plain: Level
    wide: Level

    @property
    def scale(self) -> Scale:
        return Scale(self.plain.in_use, self.wide.in_use)

    def learn(self, lessons: Iterable[Lesson]) -> Levels:
        levels = {"plain": self.plain, "wide": self.wide}
        for lesson in lessons:
            levels[lesson.part] = levels[lesson.part].hear(lesson.ratio)
        return Levels(**levels)


def begin_level(scale: float) -> Level:
    """Return the level that a family begins with, before anything is learnt."""
    learnt = math.log(scale)
    return Level(learnt, math.ceil(learnt / STEP))


def begin_levels(scale: Scale = UNKNOWN) -> Levels:
    return Levels(begin_level(scale.plain), begin_level(scale.wide))


def calibrate(catalog: Catalog, scales: Mapping[str, Scale]) -> Catalog:
    """Return the catalogue with the scales that were learnt, by family."""
    if not scales:
        return catalog
    models = (
        replace(spec, token_scale=scales.get(spec.family, spec.token_scale))
        for spec in catalog.models
    )
    return replace(catalog, models=tuple(models))
