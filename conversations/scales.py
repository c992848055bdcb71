"""What is learnt of how finely models split text, shared by all processes through the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from django.db.utils import Error
from django.utils import timezone

from chatbot.core.db import db_call
from conversations.models import TokenScale
from llm.calibration import Lesson, Level, Levels, begin_levels
from llm.conf import get_registry, read_catalog, set_scales
from llm.tokens import UNKNOWN, Scale

logger = logging.getLogger(__name__)

# Each process tells and asks as often, apart from its answers: with one small query, and an UPDATE
# for each family of models that answered meanwhile.
REFRESH_S = 60.0
# Whoever is overtaken so often leaves what it learnt: others learn the same.
TRIES = 3


async def follow_scales(*, every_s: float = REFRESH_S) -> None:
    """Store what this process's answers taught, and count as all have learnt to, until cancelled.

    While the database is away, the scales read last hold, and what is learnt is lost.
    """
    known: dict[str, Scale] = {}
    is_away = False
    while True:
        lessons = get_registry().means.lessons.take()
        try:
            found = await db_call(exchange_lessons, lessons)
        except Error:
            # Away, or not migrated yet.
            if not is_away:
                logger.warning("The token scales cannot be read; those read before hold")
            is_away = True
        else:
            is_away = False
            if found != known:
                known = found
                set_scales(found)
                logger.info("Tokens are counted by new scales: %s", found)
        await asyncio.sleep(every_s)


def exchange_lessons(lessons: Mapping[str, Sequence[Lesson]]) -> dict[str, Scale]:
    """Add lessons, by family, to what is learnt; return the scale of every family known."""
    for family, heard in lessons.items():
        _learn(family, heard)
    return {row.family: _levels(row).scale for row in TokenScale.objects.all()}


def _learn(family: str, lessons: Sequence[Lesson]) -> None:
    for _ in range(TRIES):
        row = TokenScale.objects.filter(pk=family).first()
        if row is None:
            first = TokenScale(family=family, **_columns(begin_levels(_shipped(family))))
            # Another process may begin with it at this moment.
            TokenScale.objects.bulk_create([first], ignore_conflicts=True)
            continue
        learnt = _columns(_levels(row).learn(lessons))
        same = TokenScale.objects.filter(pk=family, version=row.version)
        if same.update(**learnt, version=row.version + 1, changed=timezone.now()):
            return


def _shipped(family: str) -> Scale:
    found = (spec.token_scale for spec in read_catalog().models if spec.family == family)
    return next(found, UNKNOWN)


def _levels(row: TokenScale) -> Levels:
    return Levels(
        Level(row.plain_learnt, row.plain_step, row.plain_lessons),
        Level(row.wide_learnt, row.wide_step, row.wide_lessons),
    )


def _columns(levels: Levels) -> dict[str, float]:
    return {
        f"{part}_{name}": getattr(level, name)
        for part, level in (("plain", levels.plain), ("wide", levels.wide))
        for name in ("learnt", "step", "lessons")
    }
