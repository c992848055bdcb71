"""Noting what was screened out: one row in the transaction that did it, written down later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chatbot.core.conf import get_keyring
from chatbot.core.crypto import DataCipher, new_wrapped_key, unwrap_key
from chatbot.core.ids import uuid7
from moderation.classifier import find_spans, get_first_tier
from moderation.excerpts import Excerpt, cut_excerpt
from moderation.models import Action, ModerationEvent, ModerationOutbox, Source
from moderation.policy import Decision
from moderation.types import Surface

# Notes and the events made from them have the same keys.
KEY_OWNER = "moderation_event"


@dataclass(frozen=True, slots=True)
class Where:
    """Whose text it was and where it stood."""

    user_id: UUID
    plan: str
    source: Source
    conversation_id: UUID | None = None
    generation_id: UUID | None = None
    message_seq: int | None = None


def find_excerpt(text: str, surface: Surface) -> Excerpt:
    """Return what a moderator is to be shown of a text.

    A tenth of a second for a very long one, which is better spent before a transaction than in it.
    """
    first = get_first_tier()
    return cut_excerpt(
        text, hits=find_spans(text), weigh=lambda part: first.score(part, surface).risk
    )


def note_event(
    text: str | Excerpt,
    decision: Decision,
    action: Action,
    where: Where,
    *,
    identity: UUID | None = None,
) -> UUID:
    """Note in the caller's transaction what was done with a text, and return the event's id.

    The event itself is written down soon by whoever empties the outbox, once. What is noted again
    under the same `identity` is one event.
    """
    excerpt = find_excerpt(text, decision.surface) if isinstance(text, str) else text
    identity = identity or uuid7()
    wrapped = new_wrapped_key(get_keyring(), KEY_OWNER, str(identity))
    cipher = unwrap_key(get_keyring(), wrapped, KEY_OWNER, str(identity))
    note = ModerationOutbox(
        id=identity,
        user_id=where.user_id,
        record={
            "plan": where.plan,
            "source": where.source,
            "surface": decision.surface,
            "action": action,
            "category": decision.category,
            "score": round(decision.score, 6),
            "scores": _round(decision),
            "rules": list(decision.scores.rules),
            "policy_version": decision.policy_version,
            "classifier_version": decision.scores.version,
            "conversation_id": _text(where.conversation_id),
            "generation_id": _text(where.generation_id),
            "message_seq": where.message_seq,
            "span_start": excerpt.span.start,
            "span_end": excerpt.span.end,
        },
        wrapped_key=wrapped,
        excerpt_sealed=cipher.seal(excerpt.text, KEY_OWNER, "excerpt", str(identity)),
    )
    ModerationOutbox.objects.bulk_create([note], ignore_conflicts=True)
    return identity


def _round(decision: Decision) -> dict[str, Any]:
    found = {str(name): round(value, 4) for name, value in decision.scores.categories.items()}
    return {"risk": round(decision.scores.risk, 4), **found}


def _text(identity: UUID | None) -> str | None:
    return str(identity) if identity else None


def open_event(event: ModerationEvent) -> DataCipher:
    """Return the cipher of an event's own values. Raises CannotOpen."""
    return unwrap_key(get_keyring(), event.wrapped_key, KEY_OWNER, str(event.pk))


def read_excerpt(event: ModerationEvent) -> str:
    """Return what a moderator is shown of the text. Raises CannotOpen."""
    return open_event(event).open(event.excerpt_sealed, KEY_OWNER, "excerpt", str(event.pk))


def seal_note(event: ModerationEvent, note: str) -> bytes | None:
    """Return a moderator's note sealed for its event; None where it is empty."""
    if not note.strip():
        return None
    return open_event(event).seal(note.strip(), KEY_OWNER, "note", str(event.pk))


def read_note(event: ModerationEvent) -> str:
    """Return the moderator's note, "" where there is none. Raises CannotOpen."""
    if event.note_sealed is None:
        return ""
    return open_event(event).open(event.note_sealed, KEY_OWNER, "note", str(event.pk))
