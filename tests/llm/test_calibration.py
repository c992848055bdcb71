"""What the usage of answers teaches, and how little one answer can do."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from random import Random

import pytest

from llm.calibration import (
    LEAST_TOKENS,
    MOST_LESSONS,
    STEP,
    Lesson,
    Lessons,
    Level,
    begin_level,
    begin_levels,
    calibrate,
    find_lesson,
)
from llm.catalog_file import load_catalog
from llm.tokens import HIGHEST_SCALE, LOWEST_SCALE, Scale, measure_prompt
from llm.types import Prompt, Turn, Usage

CATALOG = load_catalog()
SPEC = CATALOG.models[0]
ENGLISH = Prompt(
    "", (Turn("user", "A river runs through the valley and over the stones. " * 40),), 9
)
CHINESE = Prompt("", (Turn("user", "春天到了，院子里的桃树开满了花。" * 40),), 9)  # noqa: RUF001
ONE = Scale(1.0, 1.0)


def told(prompt: Prompt, ratio: float) -> Usage:
    return Usage(0, 5, cache_read_tokens=round(measure_prompt(prompt).total * ratio))


def draw(level: Level, count: int, seed: int, *, centre: float = 0.8) -> list[Level]:
    """Return how a level moves as prompts come in whose ratios vary by a tenth."""
    chance = Random(seed)  # noqa: S311 - drawn to be drawn again
    levels = [level]
    for _ in range(count):
        levels.append(levels[-1].hear(centre * math.exp(chance.gauss(0, 0.1))))
    return levels


@pytest.mark.parametrize(("prompt", "part"), [(ENGLISH, "plain"), (CHINESE, "wide")])
def test_a_prompt_teaches_about_its_script(prompt, part):
    lesson = find_lesson(prompt, told(prompt, 0.7), ONE)
    assert lesson is not None
    assert lesson.part == part
    assert lesson.ratio == pytest.approx(0.7, abs=0.03)


def test_what_is_cached_counts_as_read():
    size = measure_prompt(ENGLISH).total
    parts = Usage(size // 2, 5, cache_read_tokens=size // 4, cache_write_tokens=size // 4)
    lesson = find_lesson(ENGLISH, parts, ONE)
    assert lesson is not None
    assert lesson.ratio == pytest.approx(1.0, abs=0.02)


def test_a_mixture_a_short_prompt_and_a_number_that_cannot_be_teach_nothing():
    mixed = replace(ENGLISH, turns=(*ENGLISH.turns, *ENGLISH.turns, *CHINESE.turns))
    short = replace(ENGLISH, turns=(Turn("user", "Hello."),))
    assert measure_prompt(short).total < LEAST_TOKENS
    assert find_lesson(mixed, told(mixed, 1.0), ONE) is None
    assert find_lesson(short, told(short, 1.0), ONE) is None
    assert find_lesson(ENGLISH, told(ENGLISH, 0.01), ONE) is None
    assert find_lesson(ENGLISH, told(ENGLISH, 50), ONE) is None


def test_a_level_settles_where_nine_prompts_in_ten_are_not_longer():
    level = draw(begin_level(1.3), 3_000, seed=1)[-1]
    assert math.exp(level.learnt) == pytest.approx(0.8 * math.exp(1.2816 * 0.1), rel=0.05)
    assert level.in_use >= math.exp(level.learnt)
    assert level.in_use <= math.exp(level.learnt + 2 * STEP + 1e-9)


def test_one_wild_answer_moves_a_level_no_more_than_any_other():
    level = draw(begin_level(1.3), 3_000, seed=2)[-1]
    for ratio in (3.9, 0.21):
        assert abs(level.hear(ratio).learnt - level.learnt) <= 0.01
    assert level.hear(3.9).learnt == level.hear(1.5).learnt


def test_one_answer_in_thirty_that_lies_ruins_nothing():
    chance = Random(3)  # noqa: S311 - drawn to be drawn again
    level = begin_level(0.9)
    for number in range(6_000):
        level = level.hear(3.9 if number % 30 == 0 else 0.8 * math.exp(chance.gauss(0, 0.1)))
    assert level.in_use < 1.05


def test_nothing_leads_beyond_what_tokenizers_do():
    low = high = begin_level(1.0)
    for _ in range(20_000):
        low, high = low.hear(0.21), high.hear(3.9)
    assert low.in_use >= LOWEST_SCALE * 0.99
    assert HIGHEST_SCALE * 0.99 <= high.in_use <= HIGHEST_SCALE * 1.05


@pytest.mark.parametrize("seed", range(5))
def test_a_scale_that_has_settled_hardly_ever_moves(seed):
    levels = draw(begin_level(1.3), 12_000, seed)
    settled = levels[4_000:]
    moves = sum(before.step != after.step for before, after in itertools.pairwise(settled))
    assert moves <= len(settled) / 1_000


def test_lessons_of_one_script_leave_the_other_alone():
    learnt = begin_levels(ONE).learn([Lesson("wide", 0.5)] * 2_000)
    assert learnt.wide.in_use < 0.6
    assert learnt.plain == begin_levels(ONE).plain


def test_a_process_keeps_a_few_lessons_of_each_family_until_they_are_taken():
    lessons = Lessons()
    for _ in range(3 * MOST_LESSONS):
        lessons.hear(SPEC, ENGLISH, told(ENGLISH, 1.0))
    assert [len(heard) for heard in lessons.take().values()] == [MOST_LESSONS]
    assert lessons.take() == {}


def test_models_of_one_tokenizer_are_calibrated_together():
    pair = tuple(replace(spec, tokenizer="same") for spec in CATALOG.models[:2])
    catalog = replace(CATALOG, models=(*pair, CATALOG.models[2]))
    found = calibrate(catalog, {"same": Scale(0.7, 0.6), "unheard of": Scale()})
    scales = [spec.token_scale for spec in found.models]
    assert scales == [Scale(0.7, 0.6)] * 2 + [CATALOG.models[2].token_scale]
