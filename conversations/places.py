"""Where in line a message comes, and whether there is room for it: known before it is accepted.

Who waits is served in the order of `due`. It is fixed when a message is accepted, in the line's own
time, which stretches while it is long: everybody in a line is served in turn, whenever they came,
and nobody waits for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.conf import settings

from chatbot.accounts.models import Plan, User
from chatbot.core.errors import Busy
from chatbot.core.metrics import REFUSED
from llm.admission.degrade import Step, degrade, find_relief, shorten
from llm.admission.load import LaneLoad
from llm.catalog import AUTO, ModelSpec
from llm.conf import get_load, get_registry
from llm.routing import Reason, Route, find_pool, with_fallbacks

# One person's messages follow each other at this distance, in the line's own time.
BEHIND_OWN = timedelta(seconds=10)
# A plan that is paid for goes so far ahead of one that is not.
PRO_AHEAD = timedelta(seconds=30)
# Who was refused comes back after this time at the earliest, and the latest.
RETRY_S = (2.0, 60.0)


def due_at(plan: str, *, own_active: int, now: datetime, load: LaneLoad | None = None) -> datetime:
    """Return a message's place in line, as a time.

    Each answer that a person already waits for puts their next one further back, so that one
    person's many messages do not hold up everybody; a plan that is paid for goes ahead.
    """
    if load is not None:
        now = datetime.fromtimestamp(load.virtual_time(now.timestamp()), UTC)
    return now + own_active * BEHIND_OWN - (PRO_AHEAD if plan == Plan.PRO else timedelta())


@dataclass(frozen=True, slots=True)
class Place:
    """What awaits a message in one lane: its line, if there is one, and what is given up for it."""

    lane: str
    load: LaneLoad | None
    steps: tuple[Step, ...]
    retry_after_s: float

    @property
    def is_full(self) -> bool:
        return Step.REFUSE in self.steps


@dataclass(frozen=True, slots=True)
class Door:
    """The lines that a person's message can come into, by model."""

    plan: str
    places: Mapping[str, Place]

    def due(self, spec: ModelSpec, *, own_active: int, now: datetime) -> datetime:
        """Return the place in this model's line, as a time."""
        place = self.places.get(spec.name)
        load = place.load if place else None
        return due_at(self.plan, own_active=own_active, now=now, load=load)

    def relieve(self, route: Route, models: Sequence[ModelSpec], *, tokens: int) -> Route:
        """Return a route that the router chose, or one to a model whose line is shorter.

        Cheaper ones are taken early, and any before the message would be refused. Raises Busy where
        its line is as long as it may be and no other model has room for the message.
        """
        if route.reason is Reason.CHOSEN:
            return route
        spec = route.primary
        steps = {name: place.steps for name, place in self.places.items()}
        other = find_relief(spec, models, steps, tokens=tokens)
        if other is None:
            place = self.places.get(spec.name)
            if place is not None and place.is_full:
                raise _refuse(place, self.plan, retry_after_s=place.retry_after_s)
            return route
        return replace(
            route, candidates=with_fallbacks(other, models, self.plan), reason=Reason.BUSY
        )

    def note(self, spec: ModelSpec) -> None:
        """Count a message that was accepted, until the next look at the line counts it."""
        place = self.places.get(spec.name)
        if place is not None:
            get_load().count(place.lane, self.plan)


def open_door(chosen: ModelSpec | None, user: User, *, own_active: int, now: datetime) -> Door:
    """Return the lines for a message to a model, or to one of those that `auto` knows.

    Changes nothing. Raises Busy, with when to come back, where they are as long as they may be.
    """
    models = [chosen] if chosen else find_pool(get_registry().preferred_models(), user.plan)
    places = {
        spec.name: _find_place(spec, user.plan, own_active=own_active, now=now) for spec in models
    }
    if all(place.is_full for place in places.values()):
        soonest_s = min(place.retry_after_s for place in places.values())
        raise _refuse(places[models[0].name], user.plan, retry_after_s=soonest_s)
    return Door(user.plan, places)


def _refuse(place: Place, plan: str, *, retry_after_s: float) -> Busy:
    REFUSED.labels(lane=place.lane, plan=plan).inc()
    return Busy(retry_after_s=retry_after_s)


def _find_place(spec: ModelSpec, plan: str, *, own_active: int, now: datetime) -> Place:
    lane = get_registry().lane(spec).name
    reader = get_load()
    load = reader.look(lane)
    due = due_at(plan, own_active=own_active, now=now, load=load)
    wait_s = load.wait_s(due.timestamp()) if load else 0.0
    too_many = reader.waiting(lane, plan) - settings.QUEUE_LIMIT + 1
    steps = degrade(wait_s, patience_s=settings.QUEUE_PATIENCE_S)
    if too_many > 0:
        steps = tuple(Step)
    until_s = wait_s - settings.QUEUE_PATIENCE_S
    if load is not None:
        until_s = max(until_s, too_many / load.per_second)
    least, most = RETRY_S
    return Place(lane, load, steps, retry_after_s=min(most, max(least, until_s)))


def fit_to_load(spec: ModelSpec, *, requested: str, plan: str) -> ModelSpec:
    """Return a model as its line lets it be asked: with a short context while that is long.

    Who has chosen the model in a plan that is paid for gets all of it.
    """
    load = get_load().look(get_registry().lane(spec).name)
    is_spared = requested != AUTO and plan == Plan.PRO
    if load is None or is_spared:
        return spec
    steps = degrade(load.longest_wait_s, patience_s=settings.QUEUE_PATIENCE_S)
    return shorten(spec) if Step.SHORTER in steps else spec
