"""What is to be done for a conversation after an answer, such as summing it up.

A mark is written with the answer, in one transaction, so nothing is lost when nobody can be told.
Each transition is one conditional UPDATE or DELETE; the row count decides. Times are the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now

from chatbot.core.ids import uuid7
from conversations.dispatch import announce_chore
from conversations.models import Chore, ChoreKind

# Whoever works at a chore has to be done by then, and gives up before it: see upkeep.
LEASE = timedelta(minutes=2)
# After a failure: so long, twice as long each time, and after so many not again until the next mark.
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)
MAX_TRIES = 6


class ChoreLost(Exception):
    """Somebody else has taken the chore over, or it is gone; nothing was written."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The right to do one chore until its lease lapses. `id` names this try, and no other."""

    chore_id: UUID
    conversation_id: UUID
    kind: ChoreKind
    id: UUID
    mark: UUID
    tries: int


def mark_chore(conversation_id: UUID, kind: ChoreKind) -> None:
    """Note that there is something to do; tell workers once the transaction is committed.

    Call it in the transaction of what makes it necessary. It may be marked many times before it is
    done once.
    """
    Chore.objects.bulk_create(
        [Chore(conversation_id=conversation_id, kind=kind)],
        update_conflicts=True,
        unique_fields=["conversation", "kind"],
        update_fields=["mark"],
    )
    announce_chore(conversation_id, kind)


def _free() -> Q:
    return Q(held_until__isnull=True) | Q(held_until__lte=Now())


def list_free(limit: int) -> list[tuple[UUID, ChoreKind]]:
    """Return what nobody works at, the oldest first."""
    rows = Chore.objects.filter(_free()).order_by("created")
    found = rows.values_list("conversation_id", "kind")[:limit]
    return [(conversation_id, ChoreKind(kind)) for conversation_id, kind in found]


def claim_chore(conversation_id: UUID, kind: ChoreKind) -> Hold | None:
    """Take a chore; None when there is none, or somebody else is at it."""
    holder = uuid7()
    mine = Chore.objects.filter(conversation_id=conversation_id, kind=kind)
    taken = mine.filter(_free()).update(
        holder=holder, held_until=Now() + LEASE, tries=F("tries") + 1
    )
    if not taken:
        return None
    # Nobody else can have this holder; a mark that comes after this look stays.
    row = mine.filter(holder=holder).values_list("pk", "mark", "tries").first()
    return Hold(row[0], conversation_id, kind, holder, row[1], row[2]) if row else None


def finish_chore(hold: Hold, *, more: bool = False) -> None:
    """Take a chore off the list, or free it for another time if there is more to do.

    Call it in the transaction that keeps what was made. Raises ChoreLost.
    """
    held = Chore.objects.filter(pk=hold.chore_id, holder=hold.id)
    done, _ = (0, {}) if more else held.filter(mark=hold.mark).delete()
    if done:
        return
    if not held.update(holder=None, held_until=None, tries=0):
        raise ChoreLost
    announce_chore(hold.conversation_id, hold.kind)


def postpone_chore(hold: Hold) -> None:
    """Leave a chore that failed for later, or for the next mark when it has failed too often."""
    held = Chore.objects.filter(pk=hold.chore_id, holder=hold.id)
    if hold.tries < MAX_TRIES:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (hold.tries - 1))
        held.update(holder=None, held_until=Now() + pause)
        return
    held.filter(mark=hold.mark).delete()
    # The next mark has come already: it is tried as often as any.
    held.update(holder=None, held_until=Now() + FIRST_PAUSE, tries=0)
