"""What conversations are called: the first line of the question, then what a model makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chatbot.core.crypto import CannotOpen
from chatbot.core.db import db_call
from conversations.choosing import find_writers
from conversations.chores import Hold, finish_chore
from conversations.completing import can_afford
from conversations.guarding import may_keep
from conversations.models import Conversation, Message, Role
from conversations.notes import TITLE_CHARS, ask_for_title, first_line, tidy_title
from conversations.notices import notify
from conversations.sealing import (
    open_cipher,
    open_column,
    open_message,
    report_unreadable,
    seal_column,
)
from conversations.search.indexing import index_title
from conversations.writing import Written, write_and_keep
from llm.types import Prompt
from moderation.models import Source

# Six words, in any language.
TITLE_TOKENS = 40


@dataclass(frozen=True, slots=True)
class _Untitled:
    conversation: Conversation
    prompt: Prompt


async def name_conversation(hold: Hold) -> None:
    """Give a conversation a title, unless it has a better one, and take the chore off the list.

    Raises ProviderError or ChoreLost; the first line stays its title then, and where what the model
    wrote is not to be shown.
    """
    found = await db_call(_find_or_finish, hold)
    if found is None:
        return
    conversation = found.conversation

    def keep(written: Written) -> None:
        title = tidy_title(written.text, TITLE_CHARS)
        if title and may_keep(title, conversation, Source.TITLE):
            _put_title(conversation, title)
        # After the conversation's row, which whoever withdraws a message has first too. Where one
        # was, the chore is gone, and nothing of this stays.
        finish_chore(hold)

    models = find_writers(conversation)
    await write_and_keep(hold, conversation.user, found.prompt, models, keep)
    await notify(conversation.user_id, "conversation.updated", conversationId=str(conversation.pk))


def _put_title(conversation: Conversation, title: str) -> None:
    """Replace the first line, unless the person has written a title since."""
    sealed = seal_column(open_cipher(conversation), conversation.pk, "title", title)
    rows = Conversation.objects.filter(pk=conversation.pk, title_is_own=False)
    if rows.update(title_sealed=sealed):
        conversation.title_sealed = sealed
        index_title(conversation)


def _find_or_finish(hold: Hold) -> _Untitled | None:
    """Return a conversation to name; where there is none, or no budget, the chore is done."""
    try:
        found = _find(hold.conversation_id)
    except CannotOpen as exc:
        report_unreadable(f"what was said in {hold.conversation_id}", exc)
        found = None
    if found is not None and not can_afford(found.conversation.user, found.prompt):
        found = None
    if found is None:
        finish_chore(hold)
    return found


def _find(conversation_id: UUID) -> _Untitled | None:
    """Return a conversation that is called by the first line of its first question."""
    rows = Conversation.objects.select_related("user")
    conversation = rows.filter(pk=conversation_id, title_is_own=False).first()
    if conversation is None or not find_writers(conversation):
        return None
    messages = Message.objects.filter(conversation=conversation)
    question = messages.filter(parent_seq=None, role=Role.USER).order_by("seq").first()
    if question is None:
        return None
    cipher = open_cipher(conversation)
    asked = open_message(cipher, question)
    if open_column(cipher, conversation, "title") != first_line(asked):
        return None
    answer = messages.filter(parent_seq=question.seq).order_by("seq").first()
    answered = open_message(cipher, answer) if answer else ""
    return _Untitled(conversation, ask_for_title(asked, answered, TITLE_TOKENS))
