"""Suspensions, felt by whoever is connected and by what is being written for them.

Each web process looks for new suspensions twice a second, in the database: nothing that could be
lost on the way tells it. It asks for the last few minutes' each time, so that what was accepted
while a suspension was being committed is ended by a later look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.utils import timezone

from chatbot.accounts.auth import Suspended
from chatbot.accounts.models import User
from chatbot.accounts.sanctions import Suspension
from chatbot.accounts.suspensions import find_suspension
from chatbot.core.db import db_call, patiently
from chatbot.core.following import follow
from chatbot.core.tasks import spawn
from conversations.models import Generation
from conversations.models.generation import ACTIVE_STATES
from conversations.queries import GenerationNotFound
from conversations.turns import stop_generation

# A suspension is felt within this, and costs each process one small query as often.
REFRESH_S = 0.5
# Whoever was suspended earlier has nothing open any more.
RECENT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Found:
    """Who was suspended lately, and which answers (person, generation) are written for them."""

    people: frozenset[UUID] = frozenset()
    answers: frozenset[tuple[UUID, UUID]] = frozenset()


class Watch:
    """Tells a connection when its person may have been suspended; the database says whether."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self.is_rung = False
        self._ring = ring

    def ring(self) -> None:
        self.is_rung = True
        self._ring()


_watches: dict[UUID, set[Watch]] = {}
_known = Found()


@contextmanager
def watch(user_id: UUID, ring: Callable[[], None] = lambda: None) -> Iterator[Watch]:
    """Watch one person for as long as the block lasts; `ring` is called in the event loop."""
    watching = Watch(ring)
    _watches.setdefault(user_id, set()).add(watching)
    try:
        if user_id in _known.people:
            watching.ring()
        yield watching
    finally:
        left = _watches[user_id]
        left.discard(watching)
        if not left:
            del _watches[user_id]


async def find_refusal(user_id: UUID) -> Suspended | None:
    """Return what a person is to be told who is suspended now."""

    def find() -> Suspended | None:
        return Suspended.of(user_id) if find_suspension(user_id) else None

    return await db_call(find)


def find_suspended() -> Found:
    """Return whose suspension began lately and holds, and what is still written for them."""
    lately = Suspension.objects.filter(ended_at=None, created__gte=timezone.now() - RECENT)
    people = frozenset(lately.values_list("user_id", flat=True))
    if not people:
        return Found()
    running = Generation.objects.filter(
        user_id__in=people, state__in=ACTIVE_STATES, stop_requested=False
    )
    return Found(people, frozenset(running.values_list("user_id", "pk")))


async def follow_suspensions(*, every_s: float = REFRESH_S) -> None:
    """End what suspended people have open, and stop their answers, until cancelled."""
    await follow(partial(db_call, find_suspended), _use, what="Suspensions", every_s=every_s)


def _use(found: Found) -> None:
    global _known
    new = found.people - _known.people
    _known = found
    for user_id in new:
        for watching in tuple(_watches.get(user_id, ())):
            watching.ring()
    if found.answers:
        _ = spawn(_stop(found.answers), name="answers of suspended people")


async def _stop(answers: frozenset[tuple[UUID, UUID]]) -> None:
    for user_id, generation_id in answers:
        # Deleted meanwhile, it has no end to write.
        with suppress(GenerationNotFound):
            await patiently(partial(stop_generation, User(pk=user_id), generation_id))
