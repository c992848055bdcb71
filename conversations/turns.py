"""Turns: what every front door calls to send, regenerate and stop.

A turn is committed in one transaction: the message, the pending answer and the queued
generation, under the idempotency key. Idempotency is looked at before any limit, so that a
retried send is never refused or charged twice. A send is counted before it is committed, and not
any more when it is refused after all. What is asked is judged before it is committed, once,
however often the commit is tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

import orjson
from django.db import IntegrityError, transaction
from django.utils import timezone

from chatbot.accounts.budgets import month_of, reserve_tokens
from chatbot.accounts.limits import count_request, count_send, read_rate
from chatbot.accounts.models import User
from chatbot.accounts.rates import RateStatus
from chatbot.core.crypto import CannotOpen
from chatbot.core.db import db_call
from chatbot.core.errors import (
    ChatError,
    Conflict,
    GenerationActive,
    IdempotencyMismatch,
    RateLimited,
)
from chatbot.core.prepared import PreparedSelect, insert
from conversations.branches import Draft, PlaceTaken, check_parent, question_of, take_places
from conversations.choosing import choose, find_choice
from conversations.context import least_answer
from conversations.dispatch import announce_stop, announce_work
from conversations.eventlog import StreamKey, get_event_log
from conversations.events import RegenerateRequest, SendRequest
from conversations.generations import request_stop
from conversations.models import Conversation, Generation, Message, Role, Status
from conversations.models.generation import ACTIVE_STATES
from conversations.notes import first_line
from conversations.notices import notify_on_commit
from conversations.places import Door, open_door
from conversations.prompts import ContentUnavailable
from conversations.queries import Standing, count_active, find_generation, find_standing
from conversations.screening import MessageRefused, OpinionWanted, Screened, hear, screen_texts
from conversations.sealing import (
    digest_request,
    open_cipher,
    open_message,
    seal_column,
    seal_message,
)
from conversations.sizes import store_size
from conversations.terminals import Ended, log_ended
from conversations.views import refer_to, view_generation
from llm.catalog import ModelSpec
from moderation.models import Source

# How often a conversation is looked at again because somebody else wrote to it meanwhile.
MAX_TRIES = 5


@dataclass(frozen=True, slots=True)
class StartedTurn:
    """A generation that was accepted, now or by an earlier try with the same key.

    `rate` says how the person's limits stand after it.
    """

    key: StreamKey
    message_id: UUID
    is_new: bool
    rate: RateStatus

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
    # What was found in it, once another judge was heard about it.
    heard: Screened | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @property
    def refusal_id(self) -> UUID | None:
        """What its refusal is noted under, so that a repeat is not a second one."""
        if not self.is_repeatable:
            return None
        body = f"refused {self.digest} {self.idempotency_key}".encode()
        return UUID(digest_request(self.user.pk, body)[:32])


@dataclass(frozen=True, slots=True)
class _Admitted:
    """What is known of a send before it is committed; `chosen` is the model asked for by name."""

    chosen: ModelSpec | None
    door: Door
    screened: Screened


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

    Raises ConversationNotFound, InvalidParent, UnknownModel, ModelNotInPlan, MessageTooLong,
    GenerationActive, IdempotencyMismatch, Busy, RateLimited, BudgetExhausted or MessageRefused;
    then nothing is kept, but for a note of what was refused for what it says.
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

    The question is judged anew, by the policy that holds now. Raises what `start_turn` raises, and
    MessageNotFound or NothingToRegenerate.
    """
    ask = _ask(user, conversation_id, request.model, idempotency_key, "regenerate", seq)

    def draft(conversation: Conversation) -> Draft:
        question = question_of(conversation, seq)
        return Draft(question.seq, open_message(open_cipher(conversation), question))

    return await _start(ask, draft)


async def _start(ask: _Ask, draft: Callable[[Conversation], Draft]) -> StartedTurn:
    try:
        return await db_call(_accept, ask, draft)
    except OpinionWanted as wanted:
        # Somebody else is asked, and that is paid: it counts, whoever waits for it or not.
        await db_call(count_request, ask.user)
        heard = await hear(wanted.screened)
    return await db_call(_accept, replace(ask, heard=heard), draft)


def _accept(ask: _Ask, draft: Callable[[Conversation], Draft]) -> StartedTurn:
    try:
        return _commit_once(ask, draft)
    except RateLimited:
        raise
    except ChatError:
        # It did not count as a send; it is still a request like any other.
        count_request(ask.user)
        raise


def _commit_once(ask: _Ask, draft: Callable[[Conversation], Draft]) -> StartedTurn:
    earlier = _find_earlier(ask)
    if earlier is not None:
        return earlier
    try:
        return _commit_new(ask, draft)
    except (Conflict, RateLimited):
        # It may be this very send, committed by another try since we looked.
        earlier = _find_earlier(ask)
        if earlier is None:
            raise
        return earlier


def _commit_new(ask: _Ask, draft: Callable[[Conversation], Draft]) -> StartedTurn:
    standing = _look_at(ask)
    chosen = find_choice(ask.model or standing.conversation.model, ask.user.plan)
    door = open_door(chosen, ask.user, own_active=standing.active, now=timezone.now())
    counted = count_send(ask.user)
    admitted: _Admitted | None = None
    try:
        for _ in range(MAX_TRIES):
            try:
                drafted = draft(standing.conversation)
                admitted = admitted or _Admitted(chosen, door, _screen(ask, drafted.text))
                with transaction.atomic():
                    new = _commit(ask, standing, admitted, drafted)
                return StartedTurn(*new, is_new=True, rate=counted.rate)
            except (PlaceTaken, IntegrityError):
                # Two at once: a constraint let one through, and it is committed by now.
                standing = _look_at(ask)
            except CannotOpen as exc:
                raise ContentUnavailable from exc
        raise Conflict
    except (ChatError, OpinionWanted) as exc:
        counted.forget()
        if admitted and isinstance(exc, MessageRefused):
            admitted.screened.note_refused(identity=ask.refusal_id)
        raise


def _screen(ask: _Ask, text: str) -> Screened:
    if ask.heard is not None:
        return ask.heard
    return screen_texts(ask.user, [(Source.MESSAGE, text)], conversation_id=ask.conversation_id)


def _look_at(ask: _Ask) -> Standing:
    """Return the conversation, and what else of the person's matters; nothing is written here."""
    month = month_of(timezone.now())
    standing = find_standing(ask.user.pk, ask.conversation_id, month)
    # Known already; reading it again would be one more query.
    standing.conversation.user = ask.user
    if standing.active:
        _check_free(standing.conversation)
    return standing


def _find_earlier(ask: _Ask) -> StartedTurn | None:
    if not ask.is_repeatable:
        return None
    earlier = Generation.objects.filter(user=ask.user, idempotency_key=ask.idempotency_key).first()
    if earlier is None:
        return None
    if earlier.request_digest != ask.digest:
        raise IdempotencyMismatch
    key = StreamKey(earlier.conversation_id, earlier.pk)
    return StartedTurn(key, earlier.answer_id, is_new=False, rate=read_rate(ask.user))


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
    ask: _Ask, standing: Standing, admitted: _Admitted, draft: Draft
) -> tuple[StreamKey, UUID]:
    now = timezone.now()
    conversation, question = standing.conversation, draft.question
    cipher = open_cipher(conversation)
    door = admitted.door
    choice = choose(standing, draft, chosen=admitted.chosen, door=door, cipher=cipher)
    answer = Message(
        conversation=conversation,
        seq=take_places(conversation, draft, smart_until=choice.smart_until, now=now),
        parent_seq=draft.parent_seq,
        role=Role.ASSISTANT,
        status=Status.PENDING,
    )
    insert(*([question, answer] if question else [answer]))
    longest = choice.route.primary.answer_tokens
    held = reserve_tokens(
        ask.user,
        choice.tokens,
        least=choice.prompt_tokens + least_answer(longest),
        now=now,
    )
    generation = Generation(
        conversation=conversation,
        user=ask.user,
        answer_seq=answer.seq,
        answer_id=answer.id,
        idempotency_key=ask.idempotency_key,
        request_digest=ask.digest,
        requested_model=ask.model or conversation.model,
        routed_model=choice.route.primary.name,
        route_reason=choice.route.reason,
        budget_month=held.month,
        reserved_tokens=held.tokens,
        max_output=held.tokens - choice.prompt_tokens,
        # Counted only now: the budget's row lets one of a person's sends through at a time.
        due=door.due(choice.route.primary, own_active=count_active(ask.user.pk), now=now),
        screening=admitted.screened.screening,
    )
    # Last of all: a message that is too long, or beyond the budget, is refused for that.
    admitted.screened.settle(generation_id=generation.pk, message_seq=draft.parent_seq)
    insert(generation)
    transaction.on_commit(lambda: door.note(choice.route.primary))
    announce_work()
    notify_on_commit(
        ask.loop,
        ask.user.pk,
        "generation.started",
        conversationId=str(conversation.pk),
        generationId=str(generation.pk),
    )
    return StreamKey(conversation.pk, generation.pk, cipher), answer.id


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
        **store_size(request.content),
    )
    title: bytes | None = None
    if conversation.title_sealed is None:
        title = seal_column(cipher, conversation.pk, "title", first_line(request.content))
    return Draft(seq, request.content, question=question, title_sealed=title)


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
