"""What the page of one event shows, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatbot.accounts.models import User
from chatbot.core.crypto import CannotOpen
from conversations.sealing import report_unreadable
from conversations.withdrawing import is_readable
from moderation.models import ModerationEvent, State
from moderation.policies import read_policy
from moderation.recording import read_excerpt, read_note
from moderation.strikes import count_strikes

UNAVAILABLE = "content unavailable"
EARLIER_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is shown of a text, in three parts; the middle one is what stands out."""

    before: str
    marked: str
    after: str
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Bar:
    """A score, and the share of a bar that it fills, in percent."""

    name: str
    score: float
    is_top: bool

    @property
    def percent(self) -> int:
        return round(100 * min(1.0, self.score))


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an event is about, without their address."""

    id: UUID
    plan: str
    joined: datetime
    suspended_at: datetime | None
    strikes: float
    events: int
    earlier: Sequence[ModerationEvent]


def open_excerpt(event: ModerationEvent) -> Excerpt:
    """Return the text of an event; one that does not open says so, with an alert."""
    try:
        text = read_excerpt(event)
    except CannotOpen as exc:
        report_unreadable(f"excerpt of event {event.pk}", exc)
        return Excerpt("", UNAVAILABLE, "", is_readable=False)
    start, end = event.span_start, event.span_end
    return Excerpt(text[:start], text[start:end], text[end:])


def open_note(event: ModerationEvent) -> str:
    """Return a moderator's note; one that does not open says so, with an alert."""
    try:
        return read_note(event)
    except CannotOpen as exc:
        report_unreadable(f"note of event {event.pk}", exc)
        return UNAVAILABLE


def list_bars(event: ModerationEvent) -> list[Bar]:
    """Return the risk and the categories' scores, highest first."""
    found = [
        Bar(name, score, is_top=name == event.category)
        for name, score in event.scores.items()
        if name != "risk"
    ]
    risk = Bar("risk of the whole", event.scores.get("risk", event.score), is_top=False)
    return [risk, *sorted(found, key=lambda bar: -bar.score)]


def describe_person(event: ModerationEvent, *, now: datetime) -> Person:
    """Return what a moderator needs to know of whom an event is about."""
    user: User = event.user
    others = ModerationEvent.objects.filter(user=user).exclude(pk=event.pk)
    strikes = count_strikes(user.pk, read_policy().strikes, now=now)
    return Person(
        user.pk,
        user.plan,
        user.date_joined,
        user.suspended_at if user.is_suspended else None,
        round(strikes, 2),
        others.count(),
        list(others.order_by("-created")[:EARLIER_SHOWN]),
    )


def can_withdraw(event: ModerationEvent) -> bool:
    """Return whether what an event is about may still be read where it was said."""
    place, seq = event.conversation_id, event.message_seq
    return place is not None and seq is not None and is_readable(place, seq)


def is_open(event: ModerationEvent) -> bool:
    return event.state == State.OPEN
