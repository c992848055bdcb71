"""Turns: what every front door calls to send, regenerate and stop.

A turn is committed in one transaction: the message, the pending answer and the queued
generation, under the idempotency key. Idempotency is looked at before any limit, so that a
retried send is never refused or charged twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from uuid import UUID, uuid4

import orjson
from django.db import IntegrityError, transaction
from django.utils import timezone

from chatbot.accounts.budgets import reserve_tokens
from chatbot.accounts.limits import count_send
from chatbot.accounts.models import User
from chatbot.core.crypto import CannotOpen
from chatbot.core.db import db_call
from chatbot.core.errors import Conflict, GenerationActive, IdempotencyMismatch
from chatbot.core.prepared import PreparedSelect, insert
from conversations.branches import Draft, PlaceTaken, check_parent, question_of, take_places
from conversations.dispatch import announce_stop, announce_work
from conversations.eventlog import StreamKey, get_event_log
from conversations.events import RegenerateRequest, SendRequest
from conversations.generations import request_stop
from conversations.models import Conversation, Generation, Message, Role, Status
from conversations.models.generation import ACTIVE_STATES
from conversations.notices import notify_on_commit
from conversations.places import Place, due_at, find_place, note_place
from conversations.prompts import ContentUnavailable, count_prompt, system_text
from conversations.queries import count_active, find_generation, find_waiting_for, walk_sizes
from conversations.sealing import digest_request, open_cipher, seal_column, seal_message
from conversations.terminals import Ended, log_ended
from conversations.views import refer_to, view_generation
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.tokens import count_turn

TITLE_CHARS = 60
# How often a conversation is looked at again because somebody else wrote to it meanwhile.
MAX_TRIES = 5


@dataclass(frozen=True, slots=True)
class StartedTurn:
    """A generation that was accepted, now or by an earlier try with the same key."""

    key: StreamKey
    message_id: UUID
    is_new: bool

    @property
    def generation_id(self) -> UUID:
        return self.key.generation_id


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request for an answer, whichever way it came."""

    user: User
    conversation_id: UUID
    model: str | None
    idempotency_key: str
    digest: str
    is_repeatable: bool
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


def _ask(
    user: User, conversation_id: UUID, model: str | None, key: str | None, *asked: object
) -> _Ask:
    body = orjson.dumps([str(conversation_id), model, *asked])
    digest = digest_request(user.pk, body)
    return _Ask(user, conversation_id, model, key or str(uuid4()), digest, key is not None)


async def start_turn(
    user: User, conversation_id: UUID, request: SendRequest, *, idempotency_key: str | None
) -> StartedTurn:
    """Accept a message and queue its answer; a repeat under the same key returns the first.

    Raises ConversationNotFound, InvalidParent, UnknownModel, MessageTooLong, GenerationActive,
    IdempotencyMismatch, Busy, RateLimited or BudgetExhausted; then nothing is kept.
    """
    # A parent of null is the root of a new branch; one left out is the last message shown.
    parent = request.parent_seq if "parent_seq" in request.model_fields_set else "last"
    asked = ("send", parent, request.content)
    ask = _ask(user, conversation_id, request.model, idempotency_key, *asked)

    def draft(conversation: Conversation) -> Draft:
        return _draft_question(conversation, request)

    return await _start(ask, draft)


async def regenerate_answer(
    user: User,
    conversation_id: UUID,
    seq: int,
    request: RegenerateRequest,
    *,
    idempotency_key: str | None,
) -> StartedTurn:
    """Queue another answer to the question that message `seq` answers; the old one is kept.

    Raises what `start_turn` raises, and MessageNotFound or NothingToRegenerate.
    """
    ask = _ask(user, conversation_id, request.model, idempotency_key, "regenerate", seq)

    def draft(conversation: Conversation) -> Draft:
        return Draft(question_of(conversation, seq))

    return await _start(ask, draft)


async def _start(ask: _Ask, draft: Callable[[Conversation], Draft]) -> StartedTurn:
    return await db_call(_commit_once, ask, draft)


def _commit_once(ask: _Ask, draft: Callable[[Conversation], Draft]) -> StartedTurn:
    try:
        return _find_or_commit(ask, draft)
    except GenerationActive:
        # It may be this very send, committed by another try since we looked.
        earlier = _find_earlier(ask)
        if earlier is None:
            raise
        return earlier


def _find_or_commit(ask: _Ask, draft: Callable[[Conversation], Draft]) -> StartedTurn:
    earlier = _find_earlier(ask)
    if earlier is not None:
        return earlier
    conversation, own_active = _look_at(ask)
    spec = get_registry().resolve(ask.model or conversation.model)
    place = find_place(spec, ask.user, own_active=own_active, now=timezone.now())
    count_send(ask.user)
    for _ in range(MAX_TRIES):
        try:
            with transaction.atomic():
                started = _commit(ask, conversation, spec, draft(conversation), place)
            note_place(spec, ask.user)
            return started
        except (PlaceTaken, IntegrityError):
            # Two at once: a constraint let one through, and it is committed by now.
            earlier = _find_earlier(ask)
            if earlier is not None:
                return earlier
            conversation, _ = _look_at(ask)
        except CannotOpen as exc:
            raise ContentUnavailable from exc
    raise Conflict


def _look_at(ask: _Ask) -> tuple[Conversation, int]:
    """Return the conversation, and how many answers the person waits for elsewhere."""
    conversation, active = find_waiting_for(ask.user.pk, ask.conversation_id)
    # Known already; reading it again would be one more query.
    conversation.user = ask.user
    if active:
        _check_free(conversation)
    return conversation, active


def _find_earlier(ask: _Ask) -> StartedTurn | None:
    if not ask.is_repeatable:
        return None
    earlier = Generation.objects.filter(user=ask.user, idempotency_key=ask.idempotency_key).first()
    if earlier is None:
        return None
    if earlier.request_digest != ask.digest:
        raise IdempotencyMismatch
    key = StreamKey(earlier.conversation_id, earlier.pk)
    return StartedTurn(key, earlier.answer_id, is_new=False)


_active_of = PreparedSelect(
    lambda at: Generation.objects.filter(user_id=at.user, state__in=ACTIVE_STATES).values_list(
        "pk", "conversation_id", "answer_id"
    ),
    user=UUID,
)


def _check_free(conversation: Conversation) -> None:
    """Raises GenerationActive while an answer is being written here."""
    for identity, conversation_id, answer_id in _active_of.tuples(user=conversation.user_id):
        if conversation_id == conversation.pk:
            raise GenerationActive(detail=dict(refer_to(identity, answer_id)))


def _commit(
    ask: _Ask, conversation: Conversation, spec: ModelSpec, draft: Draft, place: Place
) -> StartedTurn:
    now = timezone.now()
    question = draft.question
    answer = Message(
        conversation=conversation,
        seq=take_places(conversation, draft, now=now),
        parent_seq=draft.parent_seq,
        role=Role.ASSISTANT,
        status=Status.PENDING,
    )
    insert(*([question, answer] if question else [answer]))
    cipher = open_cipher(conversation)
    sizes = walk_sizes(conversation.pk, question.parent_seq if question else draft.parent_seq)
    if question:
        sizes = chain([question.token_count], sizes)
    system = system_text(conversation, cipher)
    tokens = count_prompt(sizes, system, spec) + spec.answer_tokens
    month = reserve_tokens(ask.user, tokens, now=now)
    generation = Generation(
        conversation=conversation,
        user=ask.user,
        answer_seq=answer.seq,
        answer_id=answer.id,
        idempotency_key=ask.idempotency_key,
        request_digest=ask.digest,
        requested_model=ask.model or conversation.model,
        first_model=spec.name,
        budget_month=month,
        reserved_tokens=tokens,
        # Counted only now: the budget's row lets one of a person's sends through at a time.
        due=due_at(ask.user, own_active=count_active(ask.user.pk), now=now, load=place.load),
    )
    insert(generation)
    announce_work()
    notify_on_commit(
        ask.loop,
        ask.user.pk,
        "generation.started",
        conversationId=str(conversation.pk),
        generationId=str(generation.pk),
    )
    key = StreamKey(conversation.pk, generation.pk, cipher)
    return StartedTurn(key, answer.id, is_new=True)


def _draft_question(conversation: Conversation, request: SendRequest) -> Draft:
    cipher = open_cipher(conversation)
    seq, parent = conversation.next_seq, conversation.active_leaf
    if "parent_seq" in request.model_fields_set:
        parent = request.parent_seq
        check_parent(conversation, parent)
    question = Message(
        conversation=conversation,
        seq=seq,
        parent_seq=parent,
        role=Role.USER,
        status=Status.COMPLETE,
        content_sealed=seal_message(cipher, conversation.pk, seq, request.content),
        token_count=count_turn(request.content),
    )
    title: bytes | None = None
    if conversation.title_sealed is None:
        title = seal_column(cipher, conversation.pk, "title", _title_from(request.content))
    return Draft(seq, question, title)


def _title_from(content: str) -> str:
    """Return the first line of what was asked, cut at a word."""
    line = content.strip().splitlines()[0].strip()
    if len(line) <= TITLE_CHARS:
        return line
    return line[:TITLE_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


async def stop_generation(user: User, generation_id: UUID) -> dict[str, str]:
    """Ask a generation to end with the text it has; one that has ended stays as it is.

    Returns where its events are. Raises GenerationNotFound.
    """

    def stop() -> tuple[Generation, Ended | None]:
        generation = find_generation(user.pk, generation_id)
        ended = request_stop(generation)
        announce_stop(generation_id)
        return generation, ended

    generation, ended = await db_call(stop)
    if ended is not None:
        await log_ended(ended, get_event_log())
    return view_generation(generation)
