"""What may be wrong with what the classifier is given."""

from __future__ import annotations

from datetime import datetime


class ArtefactRefused(Exception):
    """The classifier's file is missing, cut, altered or of another format."""


class BadCorpus(Exception):
    """The labelled texts are not there, or not in the documented form."""


class BadLine(Exception):
    """A line to be scored is not a JSON object with a text."""


class BadPolicy(ValueError):
    """A policy that cannot be followed; the sentence says why and may be shown to moderators."""


class NotDecided(Exception):
    """An event was not claimed or decided; the sentence says why to a moderator."""

    sentence = "The event could not be claimed."

    def __init__(self) -> None:
        super().__init__(self.sentence)


class EventGone(NotDecided):
    sentence = "There is no such event. Its person may have erased their account."


class AlreadyDecided(NotDecided):
    sentence = "This event was decided already."


class HeldByAnother(NotDecided):
    sentence = "Another moderator has this event."

    def __init__(self, *, until: datetime) -> None:
        super().__init__()
        self.until = until


class ClaimLapsed(NotDecided):
    sentence = "Your claim has lapsed. Look at the event again, then decide."
