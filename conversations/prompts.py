"""The prompt of a generation, read from the database and opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from django.conf import settings

from chatbot.accounts.instructions import read_instructions
from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.errors import ChatError, MessageTooLong
from conversations.context import PastTurn, Window, assemble_prompt, count_turn, join_system
from conversations.models import Conversation, Generation, Message, Status
from conversations.queries import walk_branch
from conversations.sealing import open_cipher, open_column, open_message, report_unreadable
from llm.catalog import ModelSpec
from llm.types import Prompt

NO_ROOM = "The system prompt and custom instructions leave no room for a message."
# A failed answer may hold half a sentence, a halted one what must not be said again.
_SPOKEN = frozenset({Status.COMPLETE, Status.STOPPED})


class ContentUnavailable(ChatError):
    code = "content_unavailable"
    status = 503
    sentence = "This conversation cannot be opened at the moment."


def window_of(spec: ModelSpec) -> Window:
    return Window(spec.context_window, spec.answer_tokens)


def system_text(conversation: Conversation, cipher: DataCipher) -> str:
    """Return what stands before the turns. Raises CannotOpen: it is never left out silently."""
    return join_system(
        settings.SYSTEM_PROMPT,
        open_column(cipher, conversation, "system_prompt"),
        read_instructions(conversation.user),
    )


def count_prompt(conversation: Conversation, leaf: int, system: str, spec: ModelSpec) -> int:
    """Return how many tokens a prompt that ends at `leaf` has, at most; opens no message.

    Raises MessageTooLong, with its size and the limit, when the leaf alone is too much.
    """
    room = max(0, window_of(spec).room(system))
    total = 0
    for message in walk_branch(conversation.pk, leaf):
        if message.seq == leaf and message.token_count > room:
            sizes = {"tokens": message.token_count, "limit": room, "model": spec.name}
            raise MessageTooLong(None if room else NO_ROOM, detail=sizes)
        if total + message.token_count > room:
            break
        total += message.token_count
    return total + count_turn(system)


def load_prompt(generation: Generation, spec: ModelSpec) -> Prompt:
    """Return the prompt for a generation's answer.

    Raises ContentUnavailable when the question or the system prompt does not open. An older
    message that does not open is left out: it never reaches a model.
    """
    conversation = generation.conversation
    try:
        cipher = open_cipher(conversation)
        system = system_text(conversation, cipher)
        turns = _past_turns(conversation, cipher, generation.answer_seq)
        return assemble_prompt(system=system, newest_first=turns, window=window_of(spec))
    except CannotOpen as exc:
        report_unreadable(f"prompt of generation {generation.pk}", exc)
        raise ContentUnavailable from exc


def _past_turns(
    conversation: Conversation, cipher: DataCipher, answer_seq: int
) -> Iterator[PastTurn]:
    branch = walk_branch(conversation.pk, answer_seq)
    next(branch, None)  # The pending answer itself.
    question = next(branch, None)
    if question is None:
        raise ContentUnavailable  # Deleted meanwhile.
    yield _past_turn(question, cipher)
    for message in branch:
        if message.status not in _SPOKEN or not message.token_count:
            continue
        try:
            yield _past_turn(message, cipher)
        except CannotOpen as exc:
            report_unreadable(f"message {message}", exc)


def _past_turn(message: Message, cipher: DataCipher) -> PastTurn:
    role = cast(Literal["user", "assistant"], message.role)
    return PastTurn(role, open_message(cipher, message), message.token_count)
