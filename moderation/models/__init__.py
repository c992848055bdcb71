"""What was screened out, what is still to be written down of it, and the policies that held."""

from moderation.models.event import Action, ModerationEvent, Source, State, Verdict
from moderation.models.outbox import ModerationOutbox
from moderation.models.policy import PolicyVersion

__all__ = [
    "Action",
    "ModerationEvent",
    "ModerationOutbox",
    "PolicyVersion",
    "Source",
    "State",
    "Verdict",
]
