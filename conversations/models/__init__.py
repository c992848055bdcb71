"""What is kept: conversations, their messages, and the generations that answer them."""

from conversations.models.conversation import Conversation
from conversations.models.generation import Generation, State
from conversations.models.message import Feedback, Message, Role, Status
from conversations.models.override import ModelOverride
from conversations.models.search import TITLE_SEQ, SearchEntry
from conversations.models.worker import Worker

__all__ = [
    "TITLE_SEQ",
    "Conversation",
    "Feedback",
    "Generation",
    "Message",
    "ModelOverride",
    "Role",
    "SearchEntry",
    "State",
    "Status",
    "Worker",
]
