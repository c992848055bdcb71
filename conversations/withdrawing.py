"""Taking back what was said and has been read: its text goes from everywhere it was kept."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from chatbot.audit.log import record
from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.db import db_call
from conversations.chores import mark_chore
from conversations.contextcache.store import forget_contexts
from conversations.eventlog import StreamKey, get_event_log
from conversations.models import (
    Chore,
    ChoreKind,
    Conversation,
    Generation,
    Message,
    Role,
    State,
    Status,
    Summary,
)
from conversations.models.generation import ACTIVE_STATES
from conversations.notices import notify
from conversations.prompts import ContentUnavailable
from conversations.queries import ConversationNotFound, MessageNotFound, try_cipher
from conversations.sealing import open_message, seal_message
from conversations.search.indexing import forget_messages, index_title
from conversations.sizes import store_size
from conversations.summaries import raise_version
from conversations.terminals import HALT_NOTICE, forget_logs
from moderation.judging import judge
from moderation.models import Action, ModerationEvent, Source
from moderation.recording import Where, note_event
from moderation.types import Category, Surface

READABLE = (Status.COMPLETE, Status.STOPPED, Status.FAILED)


def is_readable(conversation_id: UUID, seq: int) -> bool:
    """Return whether there is something that can be withdrawn."""
    found = Message.objects.filter(conversation_id=conversation_id, seq=seq)
    return found.filter(status__in=READABLE).exists()


async def withdraw_message(conversation_id: UUID, seq: int, *, category: Category, by: str) -> bool:
    """Put the notice in the place of a message or an answer; False if it was withdrawn already.

    `by` is whoever does it, as the audit log names them. In one transaction it goes from the message,
    the search index, every summary that covers it, and the title that was made from it; then from
    cached contexts and the event log. Raises ConversationNotFound, MessageNotFound, also for what is
    being written, or ContentUnavailable when the conversation's key does not open.
    """

    @transaction.atomic
    def withdraw() -> tuple[UUID, list[StreamKey]] | None:
        # Rows that refer to it can be written meanwhile: whoever ends an answer has its chores, which
        # are marked here too, before they ask for the conversation.
        rows = Conversation.objects.select_related("user").select_for_update(
            of=("self",), no_key=True
        )
        conversation = rows.filter(pk=conversation_id).first()
        if conversation is None:
            raise ConversationNotFound
        message = _find(conversation, seq)
        if message.status == Status.HALTED:
            return None
        cipher = try_cipher(conversation)
        if cipher is None:
            raise ContentUnavailable
        _note(conversation, message, cipher, category)
        _replace(message, cipher)
        forget_messages(conversation_id, [seq])
        _forget_title(conversation, message)
        _forget_summaries(conversation, seq)
        transaction.on_commit(lambda: forget_contexts([conversation_id]))
        keys = _halt(conversation_id, seq, category)
        record(by, "message.withdrawn", f"message:{message}", category=str(category))
        return conversation.user_id, keys

    done = await db_call(withdraw)
    if done is None:
        return False
    user_id, keys = done
    await forget_logs(keys, get_event_log())
    await notify(user_id, "conversation.updated", conversationId=str(conversation_id))
    return True


def _find(conversation: Conversation, seq: int) -> Message:
    message = Message.objects.filter(conversation=conversation, seq=seq).first()
    if message is None or message.status not in (*READABLE, Status.HALTED):
        raise MessageNotFound
    return message


def events_about(conversation: Conversation, seq: int) -> QuerySet[ModerationEvent]:
    """Return the moderation events of a message, found among its person's: these have an index."""
    theirs = ModerationEvent.objects.filter(user_id=conversation.user_id)
    return theirs.filter(conversation_id=conversation.pk, message_seq=seq)


def _note(
    conversation: Conversation, message: Message, cipher: DataCipher, category: Category
) -> None:
    """Say of the events about it what was done; where there is none, note one."""
    if events_about(conversation, message.seq).update(action=Action.WITHDRAWN):
        return
    try:
        text = open_message(cipher, message)
    except CannotOpen:
        text = ""
    is_answer = message.role == Role.ASSISTANT
    surface = Surface.OUTPUT if is_answer else Surface.INPUT
    decision = judge(text, surface=surface, plan=conversation.user.plan)
    where = Where(
        conversation.user_id,
        conversation.user.plan,
        Source.ANSWER if is_answer else Source.MESSAGE,
        conversation_id=conversation.pk,
        message_seq=message.seq,
    )
    note_event(text, replace(decision, category=category), Action.WITHDRAWN, where)


def _replace(message: Message, cipher: DataCipher) -> None:
    place = (message.conversation_id, message.seq)
    Message.objects.filter(conversation_id=place[0], seq=place[1]).update(
        content_sealed=seal_message(cipher, *place, HALT_NOTICE),
        status=Status.HALTED,
        **store_size("", None),
    )


def _forget_title(conversation: Conversation, message: Message) -> None:
    """Take away a title that a model, or the first line, made of this message."""
    if conversation.title_is_own or (
        message.parent_seq is not None and not _is_first_answer(message)
    ):
        return
    # Whoever is at it now made it of what was there.
    Chore.objects.filter(conversation=conversation, kind=ChoreKind.TITLE).delete()
    Conversation.objects.filter(pk=conversation.pk).update(title_sealed=None)
    conversation.title_sealed = None
    index_title(conversation)


def _is_first_answer(message: Message) -> bool:
    if message.parent_seq is None or message.role != Role.ASSISTANT:
        return False
    asked = Message.objects.filter(
        conversation_id=message.conversation_id, seq=message.parent_seq, parent_seq=None
    )
    return asked.exists()


def _forget_summaries(conversation: Conversation, seq: int) -> None:
    """Delete every summary that may tell of it; one that is being made is refused when it comes."""
    covering = Summary.objects.filter(conversation=conversation, covers_seq__gte=seq)
    deleted, _ = covering.delete()
    raise_version(conversation, conversation.memory_version)
    if deleted:
        mark_chore(conversation.pk, ChoreKind.SUMMARY)


def _halt(conversation_id: UUID, seq: int, category: Category) -> list[StreamKey]:
    """Make the answer's generation a halted one, and return the log it was read from."""
    ended = Generation.objects.filter(conversation_id=conversation_id, answer_seq=seq).exclude(
        state__in=ACTIVE_STATES
    )
    ended.update(state=State.HALTED, error_code=str(category), error_message=HALT_NOTICE)
    return [StreamKey(conversation_id, one) for one in ended.values_list("pk", flat=True)]
