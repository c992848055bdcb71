"""Makes the next summary of a conversation: the one before, and the turns that are about to go.

Only these are read, so a summary costs the same however long the conversation is. Without a model
that can be trusted with it, or where what it wrote is not to be shown, the notes are taken from what the user said, word for word.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.db import db_call
from conversations.choosing import find_writers
from conversations.chores import Hold, finish_chore
from conversations.completing import can_afford
from conversations.context import PastTurn
from conversations.extracting import extract_notes
from conversations.guarding import may_keep
from conversations.models import Conversation, Summary
from conversations.notes import (
    Portion,
    ask_for_summary,
    choose_portion,
    due_tokens,
    summary_limit,
    tidy_notes,
)
from conversations.notices import notify
from conversations.past import spoken_turns
from conversations.prompts import smallest_room, system_text
from conversations.queries import walk_branch
from conversations.sealing import open_cipher, report_unreadable
from conversations.summaries import NewSummary, add_summary, list_summaries, open_summary
from conversations.writing import Written, write_and_keep
from llm.catalog import ModelSpec
from llm.tokens import UNKNOWN
from llm.types import Prompt
from moderation.models import Source

logger = logging.getLogger(__name__)

# Where nobody summed up for so many messages, the older ones are not caught up with. A summary is due
# before there are so many, however short they are (CONTEXT_TOKENS).
MAX_BACKLOG = 10_000


@dataclass(frozen=True, slots=True)
class Increment:
    """What the next summary is made of. Without `models` it is extracted."""

    conversation: Conversation
    cipher: DataCipher
    notes: str
    portion: Portion
    limit: int
    prompt: Prompt
    models: Sequence[ModelSpec]
    has_more: bool


async def sum_up(hold: Hold) -> None:
    """Add the next summary, if one is due, and take the chore off the list.

    Raises ProviderError, MemoryMoved where it was changed meanwhile, or ChoreLost.
    """
    increment = await db_call(_plan_or_finish, hold)
    if increment is None:
        return

    def keep(written: Written) -> None:
        _keep(hold, increment, written)

    if increment.models:
        user = increment.conversation.user
        await write_and_keep(hold, user, increment.prompt, increment.models, keep)
    else:
        await db_call(keep, Written(_extract(increment)))
    conversation = increment.conversation
    await notify(conversation.user_id, "conversation.updated", conversationId=str(conversation.pk))


def _extract(increment: Increment) -> str:
    return extract_notes(increment.notes, increment.portion.turns, increment.limit)


@transaction.atomic
def _keep(hold: Hold, increment: Increment, written: Written) -> None:
    """Add a summary and take its chore off the list, both or neither."""
    notes, model = tidy_notes(written.text, increment.limit), written.model
    if model and notes and not may_keep(notes, increment.conversation, Source.SUMMARY):
        notes, model = _extract(increment), ""
    new = NewSummary(
        base=increment.conversation.memory_version,
        covers=increment.portion.covers,
        # Nothing, for instance of a page of code: then what was known stays known.
        text=notes or increment.notes,
        model=model,
        cost_micros=written.cost_micros,
    )
    add_summary(increment.conversation, increment.cipher, new)
    finish_chore(hold, more=increment.has_more)


def _plan_or_finish(hold: Hold) -> Increment | None:
    """Return what is to be summed up; where there is nothing, or no budget, the chore is done."""
    increment: Increment | None = None
    try:
        increment = plan_increment(hold)
    except CannotOpen as exc:
        report_unreadable(f"what is remembered of {hold.conversation_id}", exc)
    if increment is not None and not _is_affordable(increment):
        logger.info("No budget is left for a summary of %s", hold.conversation_id)
        increment = None
    if increment is None:
        finish_chore(hold)
    return increment


def _is_affordable(increment: Increment) -> bool:
    if not increment.models:
        return True
    return can_afford(increment.conversation.user, increment.prompt)


def plan_increment(hold: Hold) -> Increment | None:
    """Return what is to be summed up on the branch shown; None if it is not worth it.

    Raises CannotOpen when the system text or the summary before does not open.
    """
    rows = Conversation.objects.select_related("user")
    conversation = rows.filter(pk=hold.conversation_id).first()
    if conversation is None:
        return None
    cipher = open_cipher(conversation)
    room = smallest_room(conversation.user.plan, system_text(conversation, cipher))
    turns, before = _read_since(conversation, cipher)
    notes = open_summary(cipher, before) if before else ""
    limit = summary_limit(room)
    models = find_writers(conversation)
    fixed = ask_for_summary(notes, (), limit)
    asked = UNKNOWN.count_prompt(fixed)
    windows = [spec.context_window for spec in models]
    most = min(windows) - limit - asked if windows else room
    portion = choose_portion(turns, room, most)
    if portion is None:
        return None
    left = sum(turn.tokens for turn in turns if turn.seq > portion.covers)
    return Increment(
        conversation,
        cipher,
        notes,
        portion,
        limit,
        ask_for_summary(notes, portion.turns, limit),
        models,
        has_more=left >= due_tokens(room),
    )


def _read_since(
    conversation: Conversation, cipher: DataCipher
) -> tuple[list[PastTurn], Summary | None]:
    """Return the turns of the branch shown since its last summary, newest first, and that."""
    newest = {one.covers_seq: one for one in reversed(list_summaries(conversation))}
    since: list[PastTurn] = []
    branch = walk_branch(conversation.pk, conversation.active_leaf)
    for looked_at, message in enumerate(branch):
        if message.seq in newest:
            return since, newest[message.seq]
        if looked_at == MAX_BACKLOG:
            break
        since += spoken_turns([message], cipher)
    return since, None
