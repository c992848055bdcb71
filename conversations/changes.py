"""Writes that ask for no answer: create, change and delete conversations, feedback, instructions.

What a person writes there is judged as messages are.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from chatbot.accounts.instructions import write_instructions
from chatbot.accounts.models import User
from chatbot.core.crypto import CannotOpen
from chatbot.core.db import db_call
from chatbot.core.errors import BadRequest, Conflict, GenerationActive, IdempotencyMismatch
from conversations.contextcache.store import forget_contexts
from conversations.dispatch import announce_stop
from conversations.eventlog import StreamKey, get_event_log
from conversations.events import ChangeConversation, CreateConversation, GiveFeedback
from conversations.forks import read_newest_beneath
from conversations.generations import abandon_active
from conversations.history import find_active
from conversations.models import Conversation, Generation, Message, Role
from conversations.notices import notify
from conversations.prompts import ContentUnavailable
from conversations.queries import find_conversation, find_message, try_cipher
from conversations.screening import Screened, Texts, keep_screened
from conversations.sealing import (
    digest_request,
    new_conversation_key,
    open_cipher,
    report_unreadable,
    seal_column,
    seal_comment,
)
from conversations.search.indexing import index_title
from conversations.terminals import forget_logs
from conversations.views import read_system_prompt, view_conversation, view_generation
from llm.catalog import AUTO
from llm.conf import get_registry
from llm.routing import check_plan
from moderation.models import Source


class NotAnAnswer(BadRequest):
    code = "not_an_answer"
    sentence = "Feedback can be given on answers only."


def _check_model(name: str | None, user: User) -> str:
    """Return a usable model choice. Raises UnknownModel, ModelSwitchedOff or ModelNotInPlan."""
    if name is None or name == AUTO:
        return AUTO
    spec = get_registry().resolve(name)
    check_plan(spec, user.plan)
    return spec.name


def _view(conversation: Conversation) -> dict[str, Any]:
    cipher = try_cipher(conversation)
    return {
        **view_conversation(conversation, cipher),
        "systemPrompt": read_system_prompt(conversation, cipher),
    }


async def create_conversation(
    user: User, request: CreateConversation, *, idempotency_key: str | None = None
) -> tuple[dict[str, Any], bool]:
    """Return a new, empty conversation, or the one made under this key, and whether it is new.

    Raises UnknownModel, ModelNotInPlan, MessageRefused, or IdempotencyMismatch.
    """
    digest = digest_request(user.pk, request.model_dump_json().encode())

    def create(screened: Screened) -> tuple[dict[str, Any], bool]:
        conversation = Conversation(
            user=user,
            model=_check_model(request.model, user),
            idempotency_key=idempotency_key,
            request_digest=digest if idempotency_key else "",
        )
        conversation.wrapped_key = new_conversation_key(conversation.pk)
        conversation.title_is_own = bool(request.title and request.title.strip())
        _seal_texts(conversation, title=request.title, system_prompt=request.system_prompt)
        try:
            with transaction.atomic():
                conversation.save(force_insert=True)
                if conversation.title_sealed is not None:
                    index_title(conversation)
                # Last of all: what was made already is not refused now.
                screened.settle(conversation_id=conversation.pk)
        except IntegrityError:
            earlier = _find_created(user, idempotency_key)
            if earlier is None:
                raise
            if earlier.request_digest != digest:
                raise IdempotencyMismatch from None
            return _view(earlier), False
        return _view(conversation), True

    view, is_new = await keep_screened(user, _texts(request), create)
    if is_new:
        await notify(user.pk, "conversation.updated", conversationId=view["conversationId"])
    return view, is_new


def _texts(request: CreateConversation | ChangeConversation) -> Texts:
    return [(Source.TITLE, request.title), (Source.SYSTEM_PROMPT, request.system_prompt)]


def _find_created(user: User, key: str | None) -> Conversation | None:
    if key is None:
        return None
    return Conversation.objects.filter(user=user, idempotency_key=key).first()


def _seal_texts(conversation: Conversation, **texts: str | None) -> list[str]:
    """Set sealed columns; "" empties one, None leaves it. Return the fields that changed."""
    cipher = open_cipher(conversation)
    changed: list[str] = []
    for column, text in texts.items():
        if text is None:
            continue
        field = f"{column}_sealed"
        sealed = (
            seal_column(cipher, conversation.pk, column, text.strip()) if text.strip() else None
        )
        setattr(conversation, field, sealed)
        changed.append(field)
    return changed


async def change_conversation(
    user: User, conversation_id: UUID, request: ChangeConversation
) -> dict[str, Any]:
    """Change what the request names and return the conversation.

    Raises ConversationNotFound, UnknownModel, ModelNotInPlan, ContentUnavailable or MessageRefused.
    """

    @transaction.atomic
    def change(screened: Screened) -> dict[str, Any]:
        conversation = find_conversation(user.pk, conversation_id)
        if try_cipher(conversation) is None:
            raise ContentUnavailable
        fields = _seal_texts(conversation, title=request.title, system_prompt=request.system_prompt)
        if request.title is not None:
            # Emptied, it is a model's again to find.
            conversation.title_is_own = bool(request.title.strip())
            fields.append("title_is_own")
        if request.model is not None:
            conversation.model = _check_model(request.model, user)
            fields.append("model")
        for flag in ("pinned", "archived"):
            value = getattr(request, flag)
            if value is not None:
                setattr(conversation, flag, value)
                fields.append(flag)
        if fields:
            conversation.save(update_fields=fields)
        if "title_sealed" in fields:
            conversation.user = user
            index_title(conversation)
        screened.settle()
        return _view(conversation)

    view = await keep_screened(user, _texts(request), change, conversation_id=conversation_id)
    await notify(user.pk, "conversation.updated", conversationId=str(conversation_id))
    return view


async def change_instructions(user: User, text: str) -> None:
    """Keep a person's custom instructions; "" is none. Raises MessageRefused, ContentUnavailable."""

    @transaction.atomic
    def change(screened: Screened) -> None:
        screened.settle()
        write_instructions(user, text)

    try:
        await keep_screened(user, [(Source.INSTRUCTIONS, text)], change)
    except CannotOpen as exc:
        report_unreadable(f"data key of {user.pk}", exc)
        raise ContentUnavailable from exc


async def delete_conversation(user: User, conversation_id: UUID) -> None:
    """Erase a conversation, its messages, logs and data key; stop what is being written in it.

    Raises ConversationNotFound.
    """

    @transaction.atomic
    def delete() -> list[StreamKey]:
        conversation = find_conversation(user.pk, conversation_id)
        for generation_id in abandon_active(Conversation.objects.filter(pk=conversation_id)):
            announce_stop(generation_id)
        written = Generation.objects.filter(conversation_id=conversation_id)
        keys = [StreamKey(conversation_id, one) for one in written.values_list("pk", flat=True)]
        conversation.delete()
        transaction.on_commit(lambda: forget_contexts([conversation_id]))
        return keys

    await forget_logs(await db_call(delete), get_event_log())
    await notify(user.pk, "conversation.deleted", conversationId=str(conversation_id))


async def show_message(user: User, conversation_id: UUID, seq: int) -> None:
    """Show the branch with a message, down to the newest that follows it.

    Raises ConversationNotFound, MessageNotFound, GenerationActive, or Conflict for one that is
    written to meanwhile.
    """

    @transaction.atomic
    def show() -> bool:
        conversation = find_conversation(user.pk, conversation_id)
        find_message(conversation, seq)
        active = find_active(conversation_id)
        if active is not None:
            raise GenerationActive(detail=dict(view_generation(active)))
        shown, last = conversation.active_leaf, conversation.next_seq - 1
        leaf = read_newest_beneath(conversation_id, seq, last=last)
        if leaf == shown:
            return False
        # Whatever is written takes the next place, so that nothing is hidden which was said since.
        same = Conversation.objects.filter(pk=conversation_id, next_seq=last + 1, active_leaf=shown)
        if not same.update(active_leaf=leaf):
            raise Conflict
        # Both ends, for more than one is compared as a whole: what is hidden leaves the index.
        ends = [seq for seq in (shown, leaf) if seq is not None]
        Generation.objects.filter(conversation_id=conversation_id, answer_seq__in=ends).update(
            search_due=True
        )
        return True

    if await db_call(show):
        await notify(user.pk, "conversation.updated", conversationId=str(conversation_id))


async def give_feedback(user: User, conversation_id: UUID, seq: int, request: GiveFeedback) -> None:
    """Keep a person's opinion of an answer; a rating of None withdraws it.

    Raises ConversationNotFound, MessageNotFound, NotAnAnswer, ContentUnavailable or MessageRefused.
    """

    @transaction.atomic
    def give(screened: Screened) -> None:
        conversation = find_conversation(user.pk, conversation_id)
        message = find_message(conversation, seq)
        if message.role != Role.ASSISTANT:
            raise NotAnAnswer
        cipher = try_cipher(conversation)
        if cipher is None:
            raise ContentUnavailable
        comment = seal_comment(cipher, message, request.comment) if request.comment else None
        Message.objects.filter(conversation=conversation, seq=seq).update(
            feedback=request.rating or "", feedback_comment_sealed=comment
        )
        screened.settle()

    await keep_screened(
        user, [(Source.FEEDBACK, request.comment)], give, conversation_id=conversation_id
    )
