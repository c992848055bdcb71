"""Who may write a generation: claims, leases and the waiting line.

Each transition is one conditional UPDATE; the row count decides. Leases are measured by the
database's clock alone, so that no worker's clock matters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from time import monotonic
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import OperationalError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from chatbot.core.prepared import PreparedSelect, PreparedUpdate
from conversations.eventlog import StreamKey
from conversations.models import Generation, State
from conversations.queries import try_cipher

# A generation that took this many workers with it is not given to another.
MAX_CLAIMS = 8
CLAIM_SPARE = 16
WAITING_TOLD = 200
DURATION_SAMPLE = 20
# What an answer is guessed to take before there were any.
FIRST_GUESS_MS = 10_000


def lease() -> timedelta:
    """Return how long a worker may be silent before its generations go to others."""
    return timedelta(seconds=settings.GENERATION_LEASE_S)


def heartbeat_s() -> float:
    """Return the pause between renewals.

    Two in a row may fail: they are tried again sooner (`conversations.leases`).
    """
    return float(settings.GENERATION_LEASE_S) / 3


class LeaseLost(Exception):
    """Another worker holds the generation, or it has ended; nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write one attempt of one generation, as long as its lease is renewed."""

    generation_id: UUID
    conversation_id: UUID
    attempt: int
    owner: str
    # How often workers have claimed it: a new attempt of the same claim leaves this as it is.
    claims: int


def _held(claim: Claim) -> Q:
    return Q(
        pk=claim.generation_id,
        attempt=claim.attempt,
        lease_owner=claim.owner,
        state=State.RUNNING,
    )


QUEUED = Q(state=State.QUEUED)


def lapsed() -> Q:
    """Return the condition of being written by a worker that has fallen silent."""
    return Q(state=State.RUNNING, lease_until__lt=Now())


def claim_waiting(owner: str, limit: int) -> list[Claim]:
    """Take up to `limit` of the generations in the queue, in the order in which they are due.

    Fewer than `limit` means that there are no more. The attempt grows with each claim, which
    fences every earlier holder.
    """
    claim = _claim_queued(settings.GENERATION_LEASE_S)
    return _claim(_queued(limit + CLAIM_SPARE).tuples(), claim, owner, limit)


def claim_lapsed(owner: str, limit: int, *, but: Collection[UUID] = ()) -> list[Claim]:
    """Take up to `limit` of the generations whose worker has fallen silent, `but` these.

    Raises OperationalError when the database stood still meanwhile: then they are as silent as
    it was, and it is not known that anybody is dead.
    """
    claim = _claim_silent(settings.GENERATION_LEASE_S)
    asked_at = monotonic()
    candidates = _silent(limit + CLAIM_SPARE).tuples()
    if monotonic() - asked_at > heartbeat_s() / 2:
        raise OperationalError("The database took too long to say whose lease has lapsed.")
    return _claim([row for row in candidates if row[0] not in but], claim, owner, limit)


def _claim(
    candidates: Iterable[tuple[Any, ...]], claim: PreparedUpdate, owner: str, limit: int
) -> list[Claim]:
    claims: list[Claim] = []
    # A few more than wanted: other workers may be quicker with some.
    for identity, conversation_id, attempt, before in candidates:
        if len(claims) == limit:
            break
        if claim(id=identity, attempt=attempt, next=attempt + 1, owner=owner):
            claims.append(Claim(identity, conversation_id, attempt + 1, owner, before + 1))
    return claims


@cache
def _queued(limit: int) -> PreparedSelect[Any]:
    return PreparedSelect(lambda _: _candidates(QUEUED, limit, "due", "id"))


@cache
def _silent(limit: int) -> PreparedSelect[Any]:
    return PreparedSelect(lambda _: _candidates(lapsed(), limit, "lease_until"))


def _candidates(free: Q, limit: int, *order: str) -> QuerySet[Generation, Any]:
    rows = Generation.objects.filter(free, claims__lt=MAX_CLAIMS).order_by(*order)
    return rows.values_list("pk", "conversation_id", "attempt", "claims")[:limit]


@cache
def _claim_queued(lease_s: float) -> PreparedUpdate:
    return _claim_update(QUEUED, lease_s)


@cache
def _claim_silent(lease_s: float) -> PreparedUpdate:
    return _claim_update(lapsed(), lease_s)


def _claim_update(free: Q, lease_s: float) -> PreparedUpdate:
    return PreparedUpdate(
        lambda at: Generation.objects.filter(free, pk=at.id, attempt=at.attempt),
        lambda at: {
            "state": State.RUNNING,
            "attempt": at.next,
            "claims": F("claims") + 1,
            "lease_owner": at.owner,
            "lease_until": Now() + timedelta(seconds=lease_s),
        },
        id=UUID,
        attempt=int,
        next=int,
        owner=str,
    )


_UNUSED = (
    *("due", "lease_owner", "lease_until", "idempotency_key", "request_digest", "finished"),
    *(f"conversation__{name}" for name in ("title_sealed", "pinned", "archived")),
    *(
        f"conversation__{name}"
        for name in ("next_seq", "active_leaf", "smart_until", "created", "updated")
    ),
    *(f"conversation__user__{name}" for name in ("email", "password", "last_login")),
    *(f"conversation__user__{name}" for name in ("is_superuser", "is_staff", "date_joined")),
)
# Of conversation and person only what an answer needs: the driver takes its time over each column.
_claimed = PreparedSelect(
    lambda at: (
        Generation.objects.select_related("conversation__user").defer(*_UNUSED).filter(pk=at.id)
    ),
    id=UUID,
)


def load_claimed(claims: list[Claim]) -> dict[UUID, Generation]:
    """Return the rows of claimed generations, with conversation and person."""
    rows = [row for claim in claims for row in _claimed.objects(id=claim.generation_id)]
    return {row.pk: row for row in rows}


def list_waiting() -> list[StreamKey]:
    """Return who waits in line, in its order, as far as places are told."""
    waiting = Generation.objects.filter(QUEUED, attempt=0).order_by("due", "id")
    return [
        StreamKey(generation.conversation_id, generation.pk, try_cipher(generation.conversation))
        for generation in waiting.select_related("conversation")[:WAITING_TOLD]
    ]


def typical_duration_ms() -> int:
    """Return how long recent answers took, from accepted to ended, in milliseconds."""
    recent = Generation.objects.filter(state=State.COMPLETED).order_by("-finished")
    spans = [
        finished - created
        for created, finished in recent.values_list("created", "finished")[:DURATION_SAMPLE]
        if finished is not None
    ]
    if not spans:
        return FIRST_GUESS_MS
    return sorted(spans)[len(spans) // 2] // timedelta(milliseconds=1)


def renew_leases(owner: str, generation_ids: Collection[UUID]) -> dict[UUID, bool]:
    """Extend a worker's leases of these, in one statement.

    Returns those that it still holds, and whether the user has asked each to stop.
    """
    held = Generation.objects.filter(pk__in=generation_ids, state=State.RUNNING, lease_owner=owner)
    held.update(lease_until=Now() + lease())
    return dict(held.values_list("pk", "stop_requested"))


def take_new_attempt(claim: Claim) -> Claim:
    """Fence this worker's own earlier writes, after the log was lost. Raises LeaseLost.

    It may be called again when it is not known whether it was: that leads to the same attempt.
    """
    further = replace(claim, attempt=claim.attempt + 1)
    taken = Generation.objects.filter(_held(claim)).update(
        attempt=further.attempt, lease_until=Now() + lease()
    )
    # Also the same worker's next claim would have this attempt, but not this number of claims.
    own = Generation.objects.filter(_held(further), claims=claim.claims)
    if not taken and not own.update(lease_until=Now() + lease()):
        raise LeaseLost
    return further


def hand_over(claim: Claim) -> bool:
    """Put an unfinished generation back in the queue, for another worker to go on with."""
    returned = Generation.objects.filter(_held(claim)).update(
        state=State.QUEUED, claims=F("claims") - 1, lease_owner="", lease_until=None
    )
    return returned == 1


def release_leases(owner: str) -> int:
    """Requeue what an earlier life of this worker held; its name must be its own alone."""
    return Generation.objects.filter(state=State.RUNNING, lease_owner=owner).update(
        state=State.QUEUED, lease_owner="", lease_until=None
    )
