"""Summaries of conversations: which there are, which holds for a branch, and how one is added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from django.db.models import F

from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.ids import uuid7
from chatbot.core.prepared import PreparedSelect
from conversations.context import Memory
from conversations.forks import find_on_branch
from conversations.models import Conversation, Message, Summary
from conversations.notes import tell_notes
from conversations.sealing import report_unreadable
from llm.tokens import count_turn

# The newest versions are all kept, and before them one for each doubling of the distance: a model
# with a larger window goes back further, and a conversation of any length keeps a few dozen.
NEWEST_KEPT = 8
MAX_VERSIONS = 64

_newest = PreparedSelect(
    lambda at: Summary.objects.filter(conversation_id=at.conversation).order_by("-version")[
        :MAX_VERSIONS
    ],
    conversation=UUID,
)


class MemoryMoved(Exception):
    """What is remembered has changed since it was read; nothing was written."""


def seal_summary(cipher: DataCipher, conversation_id: UUID, version: int, text: str) -> bytes:
    place = ("conversations_summary", "text", str(conversation_id), version)
    return cipher.seal(text, *place)


def open_summary(cipher: DataCipher, summary: Summary) -> str:
    """Return what a summary says. Raises CannotOpen."""
    place = ("conversations_summary", "text", str(summary.conversation_id), summary.version)
    return cipher.open(summary.text_sealed, *place)


def list_summaries(conversation: Conversation) -> list[Summary]:
    """Return the versions there are, the newest first; no query where there are none."""
    if not conversation.memory_version:
        return []
    return _newest.objects(conversation=conversation.pk)


def open_memories(summaries: Iterable[Summary], cipher: DataCipher) -> Iterator[Memory]:
    """Yield summaries as a prompt tells them.

    One that does not open is left out, with an alert: it never reaches a model.
    """
    for one in summaries:
        try:
            text = open_summary(cipher, one)
        except CannotOpen as exc:
            report_unreadable(f"summary {one}", exc)
            continue
        yield Memory(one.covers_seq, tell_notes(text), one.is_corrected)


def find_current(
    conversation: Conversation, summaries: Sequence[Summary], leaf: int | None
) -> Summary | None:
    """Return the newest of a branch's summaries: the one that covers most of it."""
    newest = {one.covers_seq: one for one in reversed(summaries)}
    standing = find_on_branch(conversation.pk, newest, leaf=leaf)
    kept = Message.objects.filter(conversation=conversation, seq__in=standing).order_by("-seq")
    covers = kept.values_list("seq", flat=True).first() if standing else None
    return newest[covers] if covers is not None else None


@dataclass(frozen=True, slots=True)
class NewSummary:
    """A summary that is about to be kept; `base` is the memory_version that it was made from."""

    base: int
    covers: int
    text: str
    is_corrected: bool = False
    model: str = ""
    cost_micros: int = 0
    id: UUID = field(default_factory=uuid7)


@transaction.atomic
def add_summary(conversation: Conversation, cipher: DataCipher, new: NewSummary) -> int:
    """Keep a summary and return its version.

    Raises MemoryMoved when what is remembered has changed since `new.base`.
    """
    version = raise_version(conversation, new.base)
    Summary.objects.create(
        conversation_id=conversation.pk,
        version=version,
        covers_seq=new.covers,
        text_sealed=seal_summary(cipher, conversation.pk, version, new.text),
        token_count=count_turn(tell_notes(new.text)),
        is_corrected=new.is_corrected,
        model=new.model,
        cost_micros=new.cost_micros,
    )
    _thin_out(conversation.pk)
    return version


def raise_version(conversation: Conversation, base: int, **changes: object) -> int:
    """Count a change of what is remembered, and make it; return the new version.

    Raises MemoryMoved when there was another change since `base`.
    """
    rows = Conversation.objects.filter(pk=conversation.pk, memory_version=base)
    if not rows.update(memory_version=F("memory_version") + 1, **changes):
        raise MemoryMoved
    return base + 1


def _thin_out(conversation_id: UUID) -> None:
    kept = Summary.objects.filter(conversation_id=conversation_id)
    found = kept.order_by("-version").values_list("version", "covers_seq", "is_corrected")
    rows = list(found)
    spare = find_superfluous([(row[0], row[1]) for row in rows if not row[2]])
    # Corrections are kept for what they stop; there are never more than fit.
    spare += [row[0] for row in rows[MAX_VERSIONS:]]
    if spare:
        kept.filter(version__in=spare).delete()


def find_superfluous(versions: Sequence[tuple[int, int]]) -> list[int]:
    """Return which of the versions, each with what it covers, newest first, are not needed."""
    if len(versions) <= NEWEST_KEPT:
        return []
    newest, last = versions[0][1], versions[NEWEST_KEPT - 1][1]
    spare: list[int] = []
    for place in range(NEWEST_KEPT, len(versions) - 1):
        version, covers = versions[place]
        # Without it, the gap between its neighbours is at most half of their distance to the newest.
        if last - versions[place + 1][1] <= (newest - versions[place + 1][1]) // 2:
            spare.append(version)
        else:
            last = covers
    return spare
