"""What is kept: conversations, their messages, the generations that answer them, and summaries."""

from conversations.models.conversation import Conversation
from conversations.models.generation import Generation, Screening, State
from conversations.models.memory import Chore, ChoreKind, Summary
from conversations.models.message import Feedback, Message, Role, Status
from conversations.models.override import ModelOverride
from conversations.models.search import TITLE_SEQ, SearchEntry
from conversations.models.tokens import TokenScale
from conversations.models.worker import Worker

__all__ = [
    "TITLE_SEQ",
    "Chore",
    "ChoreKind",
    "Conversation",
    "Feedback",
    "Generation",
    "Message",
    "ModelOverride",
    "Role",
    "Screening",
    "SearchEntry",
    "State",
    "Status",
    "Summary",
    "TokenScale",
    "Worker",
]
