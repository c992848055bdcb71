"""Moderators' verdicts as labelled texts, in the form that the training reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from chatbot.core.crypto import CannotOpen
from moderation.models import ModerationEvent, State, Verdict
from moderation.recording import read_excerpt
from moderation.training.corpus import name_label

SOURCE = "desk"
# One in so many is kept apart from what is learnt; which, depends on the text alone.
HELD_OUT = 10
BATCH = 500


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a corpus, and what of it is counted."""

    line: str
    counts_as: str


def list_verdicts(unreadable: Counter[str]) -> Iterator[Labelled]:
    """Yield what was decided, the oldest first; what does not open is counted and left out.

    The same text has one place, in what is learnt or in what is held out.
    """
    decided = ModerationEvent.objects.filter(state=State.DECIDED).order_by("created", "pk")
    for event in decided.iterator(BATCH):
        try:
            text = read_excerpt(event)
        except CannotOpen:
            unreadable["unreadable"] += 1
            continue
        labels = []
        if event.verdict == Verdict.CONFIRMED:
            labels = [name_label(event.label or event.category)]
        row = {
            "text": text,
            "source": SOURCE,
            "labels": labels,
            "kind": event.surface,
            "split": "val" if _is_held_out(text) else "train",
        }
        yield Labelled(json.dumps(row, ensure_ascii=False), labels[0] if labels else "harmless")


def _is_held_out(text: str) -> bool:
    return sha256(text.encode()).digest()[0] % HELD_OUT == 0
