"""What operators changed of the models, brought into this process within seconds."""

from __future__ import annotations

import asyncio
import logging

from django.db.utils import Error

from chatbot.core.db import db_call
from conversations.models import ModelOverride
from llm.catalog import LANE_LIMITS
from llm.conf import read_catalog, set_overrides
from llm.overrides import Override

logger = logging.getLogger(__name__)

# A change is felt within this, and costs each process one small query as often.
REFRESH_S = 3.0


def read_overrides() -> dict[str, Override]:
    """Return every override by its model's name, also of models the catalogue has no more."""
    return {
        row.name: Override(
            is_off=row.is_off,
            answer_tokens=row.answer_tokens,
            plans=tuple(map(str, row.plans)) if isinstance(row.plans, list) else None,
            **{field: getattr(row, field) for field in LANE_LIMITS},
        )
        for row in ModelOverride.objects.all()
    }


async def follow_overrides(*, every_s: float = REFRESH_S) -> None:
    """Keep this process's registry as operators want it, until cancelled.

    While the database is away, what was read last holds.
    """
    known: dict[str, Override] | None = None
    is_away = False
    while True:
        try:
            found = await db_call(read_overrides)
        except Error:
            # Away, or not migrated yet.
            if not is_away:
                logger.warning("The model overrides cannot be read; those read before hold")
            is_away = True
        else:
            is_away = False
            if found != known:
                known = found
                set_overrides(found)
                _tell(found)
        await asyncio.sleep(every_s)


def _tell(overrides: dict[str, Override]) -> None:
    """Log what holds from now on, and what cannot."""
    catalog = read_catalog()
    for name, override in overrides.items():
        spec = catalog.find(name)
        if spec is None:
            logger.warning("The catalogue has no model %s: its override does nothing", name)
        elif faults := override.find_faults(spec):
            logger.warning("The limits for %s do not fit it: %s", name, " ".join(faults.values()))
        else:
            logger.info("Model %s is overridden%s", name, ", and off" if override.is_off else "")
