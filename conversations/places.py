"""Where in line a message comes, and whether there is room for it: known before it is accepted.

Who waits is served in the order of `due`. It is fixed when a message is accepted, in the line's own
time, which stretches while it is long: everybody in a line is served in turn, whenever they came,
and nobody waits for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from chatbot.accounts.models import Plan, User
from chatbot.core.errors import Busy
from chatbot.core.metrics import REFUSED
from llm.admission.degrade import Step, degrade
from llm.admission.load import LaneLoad
from llm.catalog import ModelSpec
from llm.conf import get_load, get_registry

# One person's messages follow each other at this distance, in the line's own time.
BEHIND_OWN = timedelta(seconds=10)
# A plan that is paid for goes so far ahead of one that is not.
PRO_AHEAD = timedelta(seconds=30)
# Who was refused comes back after this time at the earliest, and the latest.
RETRY_S = (2.0, 60.0)


@dataclass(frozen=True, slots=True)
class Place:
    """The line that a message comes into, if there is one, and what is given up for it."""

    load: LaneLoad | None
    steps: tuple[Step, ...]


def due_at(user: User, *, own_active: int, now: datetime, load: LaneLoad | None = None) -> datetime:
    """Return a message's place in line, as a time.

    Each answer that a person already waits for puts their next one further back, so that one
    person's many messages do not hold up everybody; a plan that is paid for goes ahead.
    """
    if load is not None:
        now = datetime.fromtimestamp(load.virtual_time(now.timestamp()), UTC)
    return now + own_active * BEHIND_OWN - (PRO_AHEAD if user.plan == Plan.PRO else timedelta())


def find_place(spec: ModelSpec, user: User, *, own_active: int, now: datetime) -> Place:
    """Return the line for a message to this model; changes nothing.

    Raises Busy, with when to come back, where the line is as long as it may be.
    """
    lane = get_registry().lane(spec).name
    reader = get_load()
    load = reader.look(lane)
    due = due_at(user, own_active=own_active, now=now, load=load)
    wait_s = load.wait_s(due.timestamp()) if load else 0.0
    steps = degrade(wait_s, patience_s=settings.QUEUE_PATIENCE_S)
    too_many = reader.waiting(lane, user.plan) - settings.QUEUE_LIMIT + 1
    if Step.REFUSE in steps or too_many > 0:
        REFUSED.labels(lane=lane, plan=user.plan).inc()
        until_s = wait_s - settings.QUEUE_PATIENCE_S
        if load is not None:
            until_s = max(until_s, too_many / load.per_second)
        least, most = RETRY_S
        raise Busy(retry_after_s=min(most, max(least, until_s)))
    return Place(load, steps)


def note_place(spec: ModelSpec, user: User) -> None:
    """Count a message that was accepted, until the next look at the line counts it."""
    get_load().count(get_registry().lane(spec).name, user.plan)
