"""What is learnt of how finely models split text, shared by all processes through the database."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from django.utils import timezone

from chatbot.core.db import db_call
from chatbot.core.following import follow
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

    What is learnt while the database is away is lost.
    """
    await follow(_exchange, _use, what="The token scales", every_s=every_s)


async def _exchange() -> dict[str, Scale]:
    return await db_call(exchange_lessons, get_registry().means.lessons.take())


def _use(scales: dict[str, Scale]) -> None:
    set_scales(scales)
    if scales:
        logger.info("Tokens are counted by new scales: %s", scales)


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
