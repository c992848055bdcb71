"""Events that tests of the desk start from, made as the doors make them."""

from __future__ import annotations

from typing import Any

from chatbot.accounts.models import User
from moderation.judging import judge
from moderation.models import Action, ModerationEvent, Source
from moderation.recording import Where, note_event
from moderation.taking import take_up
from moderation.types import Surface

BAD = "I will murder my neighbour and get away with it"


def put_event(
    person: User, *, text: str = BAD, action: Action = Action.FLAGGED, **where: Any
) -> ModerationEvent:
    """Write an open event about a text; `where` is where it stood, besides the person."""
    changes = {name: where.pop(name) for name in ("severity", "category") if name in where}
    where = {"source": Source.MESSAGE, "plan": person.plan} | where
    surface = Surface.OUTPUT if where["source"] == Source.ANSWER else Surface.INPUT
    decision = judge(text, surface=surface, plan=person.plan)
    note_event(text, decision, action, Where(person.pk, **where))
    (event,) = take_up()
    if changes:
        ModerationEvent.objects.filter(pk=event.pk).update(**changes)
        event.refresh_from_db()
    return event
