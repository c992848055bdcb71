"""Who may write a generation: claims and leases.

Each transition is one conditional UPDATE; the row count decides. Leases are measured by the
database's clock alone, so that no worker's clock matters.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db import OperationalError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from chatbot.core.prepared import PreparedSelect, PreparedUpdate
from conversations.asked import with_asked
from conversations.models import Generation, State

# A generation that took this many workers with it is not given to another.
MAX_CLAIMS = 8
CLAIM_SPARE = 16


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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A generation that could be claimed. `model` is the one that is asked first.

    `tokens` is the most that the call may use. One that is `stopped` needs no call any more.
    """

    generation_id: UUID
    conversation_id: UUID
    attempt: int
    claims: int
    model: str
    tokens: int
    stopped: bool


class Admission(Protocol):
    """Decides which candidates may be claimed now, beyond what the database says."""

    @property
    def shut(self) -> tuple[str, ...]:
        """Models whose generations need not be looked at, in a fixed order."""

    def prepare(self, candidates: Sequence[Candidate], limit: int) -> None:
        """Hear what could be claimed, in its order, and how many of it."""

    def lets_in(self, candidate: Candidate) -> bool:
        """Say whether this one may be claimed."""

    def note(self, candidate: Candidate) -> None:
        """Hear that it has been."""


class Everybody:
    """The admission that lets everybody in."""

    shut: tuple[str, ...] = ()

    def prepare(self, candidates: Sequence[Candidate], limit: int) -> None:
        pass

    def lets_in(self, candidate: Candidate) -> bool:
        return True

    def note(self, candidate: Candidate) -> None:
        pass


EVERYBODY = Everybody()


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


def claim_waiting(owner: str, limit: int, *, admission: Admission = EVERYBODY) -> list[Claim]:
    """Take up to `limit` of the generations in the queue, in the order in which they are due.

    The attempt grows with each claim, which fences every earlier holder.
    """
    claim = _claim_queued(settings.GENERATION_LEASE_S)
    candidates = _read(_queued(_rows_for(limit), admission.shut))
    return _claim(candidates, claim, owner, limit, admission)


def claim_lapsed(
    owner: str, limit: int, *, but: Collection[UUID] = (), admission: Admission = EVERYBODY
) -> list[Claim]:
    """Take up to `limit` of the generations whose worker has fallen silent, `but` these.

    Raises OperationalError when the database stood still meanwhile: then they are as silent as
    it was, and it is not known that anybody is dead.
    """
    claim = _claim_silent(settings.GENERATION_LEASE_S)
    asked_at = monotonic()
    candidates = _read(_silent(_rows_for(limit), admission.shut))
    if monotonic() - asked_at > heartbeat_s() / 2:
        raise OperationalError("The database took too long to say whose lease has lapsed.")
    others = [one for one in candidates if one.generation_id not in but]
    return _claim(others, claim, owner, limit, admission)


def _rows_for(limit: int) -> int:
    """Return how many rows to look at: other workers may be quicker with some.

    Rounded up to a power of two, so that there are few statements to prepare.
    """
    return 1 << (limit + CLAIM_SPARE - 1).bit_length()


def _read(rows: PreparedSelect[Any]) -> list[Candidate]:
    return [Candidate(*row) for row in rows.tuples()]


def _claim(
    candidates: Sequence[Candidate],
    claim: PreparedUpdate,
    owner: str,
    limit: int,
    admission: Admission,
) -> list[Claim]:
    if not candidates:
        return []
    admission.prepare(candidates, limit)
    claims: list[Claim] = []
    for one in candidates:
        if len(claims) == limit:
            break
        if not admission.lets_in(one):
            continue
        attempt = one.attempt + 1
        if claim(id=one.generation_id, attempt=one.attempt, next=attempt, owner=owner):
            admission.note(one)
            made = Claim(one.generation_id, one.conversation_id, attempt, owner, one.claims + 1)
            claims.append(made)
    return claims


@cache
def _queued(limit: int, shut: tuple[str, ...]) -> PreparedSelect[Any]:
    return PreparedSelect(lambda _: _candidates(QUEUED, shut, limit, "due", "id"))


@cache
def _silent(limit: int, shut: tuple[str, ...]) -> PreparedSelect[Any]:
    return PreparedSelect(lambda _: _candidates(lapsed(), shut, limit, "lease_until"))


def _candidates(
    free: Q, shut: tuple[str, ...], limit: int, *order: str
) -> QuerySet[Generation, Any]:
    rows = Generation.objects.filter(free, claims__lt=MAX_CLAIMS).order_by(*order)
    if shut:
        rows = rows.exclude(routed_model__in=shut, stop_requested=False)
    names = ("pk", "conversation_id", "attempt", "claims")
    return rows.values_list(*names, "routed_model", "reserved_tokens", "stop_requested")[:limit]


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
    *(f"conversation__{name}" for name in ("title_sealed", "title_is_own", "pinned")),
    *(
        f"conversation__{name}"
        for name in ("archived", "next_seq", "active_leaf", "smart_until", "created", "updated")
    ),
    *(f"conversation__user__{name}" for name in ("email", "password", "last_login")),
    *(f"conversation__user__{name}" for name in ("is_superuser", "is_staff", "date_joined")),
)
# Of conversation and person only what an answer needs: the driver takes its time over each column.
_claimed = PreparedSelect(
    lambda at: with_asked(
        Generation.objects.select_related("conversation__user").defer(*_UNUSED).filter(pk=at.id)
    ),
    id=UUID,
)


def load_claimed(claims: list[Claim]) -> dict[UUID, Generation]:
    """Return the rows of claimed generations, with conversation and person, and what is asked."""
    rows = [row for claim in claims for row in _claimed.objects(id=claim.generation_id)]
    return {row.pk: row for row in rows}


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


def hand_over(claim: Claim, **changes: Any) -> bool:
    """Put an unfinished generation back in the queue, for another worker to go on with.

    False if it was not this claim's any more; then nothing changes.
    """
    returned = Generation.objects.filter(_held(claim)).update(
        state=State.QUEUED, claims=F("claims") - 1, lease_owner="", lease_until=None, **changes
    )
    return returned == 1


def release_leases(owner: str) -> int:
    """Requeue what an earlier life of this worker held; its name must be its own alone."""
    return Generation.objects.filter(state=State.RUNNING, lease_owner=owner).update(
        state=State.QUEUED, lease_owner="", lease_until=None
    )
