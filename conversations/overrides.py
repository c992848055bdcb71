"""What operators changed of the models, brought into this process within seconds."""

from __future__ import annotations

import logging
from functools import partial

from chatbot.core.db import db_call
from chatbot.core.following import follow
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
    """Keep this process's registry as operators want it, until cancelled."""
    await follow(
        partial(db_call, read_overrides), _use, what="The model overrides", every_s=every_s
    )


def _use(overrides: dict[str, Override]) -> None:
    set_overrides(overrides)
    _tell(overrides)


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
