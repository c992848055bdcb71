"""What a person has pinned: facts that stand in every later prompt of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from chatbot.core.crypto import DataCipher
from chatbot.core.errors import TooLarge
from conversations.models import Conversation
from conversations.notes import tell_facts
from conversations.sealing import open_column, seal_column
from llm.tokens import count_turn

COLUMN = "pinned_facts"
# They are read with every question, also by a model with the smallest window there is.
MAX_PINNED_TOKENS = 1_000


class MemoryTooLong(TooLarge):
    code = "memory_too_long"
    sentence = "That is more than can be remembered. Please shorten it."


def read_facts(conversation: Conversation, cipher: DataCipher) -> list[str]:
    """Return the facts pinned in a conversation. Raises CannotOpen."""
    text = open_column(cipher, conversation, COLUMN)
    facts: list[str] = orjson.loads(text) if text else []
    return facts


def seal_facts(
    conversation: Conversation, cipher: DataCipher, facts: Sequence[str]
) -> bytes | None:
    """Return the facts as they are kept, each in one line; None of none.

    Raises MemoryTooLong, with their size and the limit.
    """
    lines = [" ".join(fact.split()) for fact in facts]
    told = tell_facts(lines)
    if not told:
        return None
    check_size(told, MAX_PINNED_TOKENS)
    return seal_column(cipher, conversation.pk, COLUMN, orjson.dumps(lines).decode())


def check_size(text: str, limit: int) -> None:
    """Raises MemoryTooLong when a text has more than `limit` tokens."""
    tokens = count_turn(text)
    if tokens > limit:
        raise MemoryTooLong(detail={"tokens": tokens, "limit": limit})
