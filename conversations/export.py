"""Everything of one person: taken out, or erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from chatbot.accounts.instructions import read_instructions
from chatbot.accounts.ledger import list_usage
from chatbot.accounts.models import User
from chatbot.accounts.standing import export_standing
from chatbot.core.crypto import CannotOpen
from chatbot.core.db import db_call
from conversations.contextcache.store import forget_contexts
from conversations.dispatch import announce_stop
from conversations.eventlog import StreamKey, get_event_log
from conversations.generations import abandon_active
from conversations.memory import export_memory
from conversations.models import Conversation, Generation, Message
from conversations.queries import try_cipher
from conversations.sealing import report_unreadable
from conversations.terminals import forget_logs
from conversations.views import read_system_prompt, view_conversation, view_message


def _profile(user: User) -> dict[str, Any]:
    try:
        instructions: str | None = read_instructions(user)
    except CannotOpen as exc:
        report_unreadable(f"custom instructions of {user.pk}", exc)
        instructions = None
    return {
        "userId": str(user.pk),
        "email": user.email,
        "plan": user.plan,
        "joinedAt": user.date_joined.isoformat(),
        "customInstructions": instructions,
        **export_standing(user),
    }


def _conversation(user: User, conversation_id: UUID) -> bytes | None:
    conversation = Conversation.objects.filter(pk=conversation_id, user=user).first()
    if conversation is None:
        return None  # Deleted while the export ran.
    cipher = try_cipher(conversation)
    generations = {
        generation.answer_seq: generation
        for generation in Generation.objects.filter(conversation=conversation)
    }
    messages = Message.objects.filter(conversation=conversation).order_by("seq")
    whole = {
        **view_conversation(conversation, cipher),
        "systemPrompt": read_system_prompt(conversation, cipher),
        "memory": export_memory(conversation, cipher),
        "messages": [
            view_message(message, cipher, generations.get(message.seq)) for message in messages
        ],
    }
    return orjson.dumps(whole)


def _conversation_ids(user: User) -> list[UUID]:
    owned = Conversation.objects.filter(user=user).order_by("created")
    return list(owned.values_list("pk", flat=True))


async def export_person(user: User) -> AsyncIterator[bytes]:
    """Yield one JSON document with all that is kept of a person, every branch included.

    One conversation is in memory at a time.
    """
    yield b'{"user":' + orjson.dumps(await db_call(_profile, user))
    yield b',"usage":' + orjson.dumps(await db_call(list_usage, user)) + b',"conversations":['
    separator = b""
    for conversation_id in await db_call(_conversation_ids, user):
        encoded = await db_call(_conversation, user, conversation_id)
        if encoded is not None:
            yield separator + encoded
            separator = b","
    yield b"]}"


async def erase_person(user: User) -> None:
    """Delete a person with all their data keys, conversations, logs, tokens and addresses.

    What they used stays in the ledger, with nobody's name on it.
    """

    @transaction.atomic
    def erase() -> list[StreamKey]:
        keys = end_writing(user)
        user.delete()
        return keys

    await forget_logs(await db_call(erase), get_event_log())


def end_writing(user: User) -> list[StreamKey]:
    """End and settle every answer of a person who is about to be deleted; return all their logs.

    Call it in the transaction that deletes them, and have the logs forgotten after it.
    """
    conversations = Conversation.objects.filter(user=user)
    active = abandon_active(conversations)
    # From here on no conversation can be begun either.
    list(User.objects.select_for_update().filter(pk=user.pk).values_list("pk"))
    for generation_id in (*active, *abandon_active(conversations)):
        announce_stop(generation_id)
    written = Generation.objects.filter(user=user).values_list("conversation_id", "pk")
    owned = list(conversations.values_list("pk", flat=True))
    transaction.on_commit(lambda: forget_contexts(owned))
    return [StreamKey(*one) for one in written]
