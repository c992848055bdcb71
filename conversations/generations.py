"""How a generation ends. Each ending is one conditional UPDATE; the row count decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from chatbot.accounts.ledger import Payer, charge_calls, settle_calls
from chatbot.core.errors import WorkerLost
from chatbot.core.metrics import GENERATIONS
from chatbot.core.prepared import Kind, PreparedUpdate
from conversations.chores import mark_chore
from conversations.claims import MAX_CLAIMS, QUEUED, Claim, LeaseLost, hand_over, lapsed
from conversations.estimates import estimate_call
from conversations.eventlog import StreamKey
from conversations.events import Cursor, Event, EventType
from conversations.guarding import Noted, find_doubt, note_answer, open_gate
from conversations.models import ChoreKind, Conversation, Generation, Message, State, Status
from conversations.models.generation import ACTIVE_STATES
from conversations.queries import read_answer, try_cipher
from conversations.sealing import seal_message
from conversations.sizes import store_size
from conversations.terminals import HALT_NOTICE, Ended, halt_notice, terminal_event
from conversations.views import view_message
from llm.pricing import Call
from llm.types import Usage
from moderation.gate import Violation
from moderation.models import Action

# The attempt that ends an unheld generation holds a snapshot's place and the terminal event.
UNHELD_SEQ = 2
NOTHING = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended; `calls` are all that were made for the answer, in order.

    `counted_tokens` is its text's length as the provider counted it, if that is known.

    `charged` and `charged_micros` are what others used that were charged before, when a worker let
    the generation go. `chores` are what is to be done for the conversation now. `noted` is what
    moderators are to see of it.
    """

    state: State
    text: str
    last_seq: int = 0
    counted_tokens: int | None = None
    calls: tuple[Call, ...] = ()
    charged: Usage = NOTHING
    charged_micros: int = 0
    model: str = ""
    provider: str = ""
    route_reason: str = ""
    first_token_ms: int | None = None
    stop_reason: str = ""
    error_code: str = ""
    error_message: str = ""
    chores: tuple[ChoreKind, ...] = ()
    noted: Noted | None = None

    @property
    def usage(self) -> Usage:
        return sum((call.usage for call in self.calls), start=self.charged)

    @property
    def cost_micros(self) -> int:
        return sum((call.cost_micros for call in self.calls), start=self.charged_micros)


def halted(outcome: Outcome, violation: Violation) -> Outcome:
    """Return how an answer ends that may not be kept: with a notice in the place of its text."""
    decision = violation.decision
    return replace(
        outcome,
        state=State.HALTED,
        text=halt_notice(decision.category),
        counted_tokens=None,
        error_code=str(decision.category),
        error_message=HALT_NOTICE,
        chores=(),
        noted=Noted(violation.text, decision, Action.HALTED),
    )


def charged_before(generation: Generation) -> dict[str, Any]:
    """Return what an outcome says of calls that were charged before, from a claimed row."""
    usage = Usage(generation.input_tokens, generation.output_tokens, generation.cached_tokens)
    return {"charged": usage, "charged_micros": generation.cost_micros}


_MESSAGE_STATUS = {
    State.COMPLETED: Status.COMPLETE,
    State.STOPPED: Status.STOPPED,
    State.HALTED: Status.HALTED,
    State.FAILED: Status.FAILED,
}


@transaction.atomic
def finish_generation(
    claim: Claim, outcome: Outcome, generation: Generation, answer: Message | None = None
) -> Event:
    """Store the answer, its usage and the budget's settlement together.

    `generation` is the row as it was claimed, `answer` the pending message if it is at hand.
    Returns the terminal event, which the caller logs once this is committed. It may be called
    again when it is not known whether it was. Raises LeaseLost when the attempt is no longer this
    worker's; then nothing is stored.
    """
    ending = _ending(outcome)
    place = {"id": claim.generation_id, "attempt": claim.attempt, "owner": claim.owner}
    if _end_held(**place, **{name: ending[name] for name in _SAID}):
        generation.attempt = claim.attempt
        return _settle(generation, outcome, ending, answer)
    # Nobody else ends a generation in this attempt.
    ended = Generation.objects.select_related("conversation").filter(
        pk=claim.generation_id, attempt=claim.attempt, last_seq=outcome.last_seq
    )
    stored = ended.exclude(state__in=ACTIVE_STATES).first()
    if stored is None:
        raise LeaseLost
    return terminal_event(stored, read_answer(stored))


# What an ending says of a generation: the field, its type, and where an outcome has it.
_SAID: dict[str, tuple[Kind, str]] = {
    "state": (str, "state"),
    "last_seq": (int, "last_seq"),
    "model": (str, "model"),
    "provider": (str, "provider"),
    "route_reason": (str, "route_reason"),
    "input_tokens": (int, "usage.input_tokens"),
    "cached_tokens": (int, "usage.cache_read_tokens"),
    "output_tokens": (int, "usage.output_tokens"),
    "cost_micros": (int, "cost_micros"),
    "first_token_ms": (int, "first_token_ms"),
    "stop_reason": (str, "stop_reason"),
    "error_code": (str, "error_code"),
    "error_message": (str, "error_message"),
}
_READ = {name: attrgetter(path) for name, (_, path) in _SAID.items()}
# What every ending does besides.
_LET_GO: dict[str, Any] = {"lease_owner": "", "lease_until": None, "finished": Now()}


def _ending(outcome: Outcome) -> dict[str, Any]:
    return {**{name: read(outcome) for name, read in _READ.items()}, **_LET_GO}


_end_held = PreparedUpdate(
    lambda at: Generation.objects.filter(
        pk=at.id, attempt=at.attempt, lease_owner=at.owner, state=State.RUNNING
    ),
    lambda at: {
        **{name: getattr(at, name) for name in _SAID},
        **_LET_GO,
    },
    id=UUID,
    attempt=int,
    owner=str,
    **{name: kind for name, (kind, _) in _SAID.items()},
)
_write_answer = PreparedUpdate(
    lambda at: Message.objects.filter(conversation_id=at.conversation, seq=at.seq),
    lambda at: {
        "content_sealed": at.content_sealed,
        "status": at.status,
        "token_count": at.token_count,
        "wide_tokens": at.wide_tokens,
        "counted_tokens": at.counted_tokens,
        "model": at.model,
    },
    conversation=UUID,
    seq=int,
    content_sealed=bytes,
    status=str,
    token_count=int,
    wide_tokens=int,
    counted_tokens=int,
    model=str,
)


def _settle(
    generation: Generation, outcome: Outcome, ending: dict[str, Any], answer: Message | None
) -> Event:
    """Store the rest of an ending; the caller has ended the generation in the database."""
    conversation = generation.conversation
    for name, value in ending.items():
        setattr(generation, name, value)
    cipher = try_cipher(conversation)
    # Without its key a conversation can hold no text; its generations end all the same.
    sealed = b""
    if cipher is not None:
        sealed = seal_message(cipher, conversation.pk, generation.answer_seq, outcome.text)
    said = {
        "content_sealed": sealed,
        "status": _MESSAGE_STATUS[outcome.state],
        **store_size(outcome.text, outcome.counted_tokens),
        "model": outcome.model,
    }
    _write_answer(conversation=conversation.pk, seq=generation.answer_seq, **said)
    _charge(generation, outcome.calls, first_token_ms=outcome.first_token_ms)
    if outcome.noted is not None:
        note_answer(generation, outcome.noted)
    for kind in outcome.chores:
        mark_chore(conversation.pk, kind)
    transaction.on_commit(
        lambda: GENERATIONS.labels(state=outcome.state, model=outcome.model or "none").inc()
    )
    if answer is None:
        return terminal_event(generation, read_answer(generation))
    for name, value in said.items():
        setattr(answer, name, value)
    return terminal_event(generation, view_message(answer, cipher, generation))


def _charge(
    generation: Generation, calls: tuple[Call, ...], *, first_token_ms: int | None = None
) -> None:
    """Settle the budget and write the ledger; the caller has ended the generation."""
    settle_calls(
        _payer(generation),
        calls,
        source=generation.pk,
        reserved=generation.reserved_tokens,
        first_token_ms=first_token_ms,
        has_earlier=bool(generation.charged_attempt),
    )


def _payer(generation: Generation) -> Payer:
    return Payer(generation.user_id, generation.conversation.user.plan, generation.budget_month)


@transaction.atomic
def hand_over_generation(claim: Claim, generation: Generation, calls: Sequence[Call]) -> bool:
    """Put a generation back in the queue and charge the calls made for it under this claim.

    False if it was not this claim's any more; then nothing is charged.
    """
    if not calls:
        return hand_over(claim, **_told_before(claim, generation))
    usage = sum((call.usage for call in calls), start=NOTHING)
    is_ours = hand_over(
        claim,
        charged_attempt=claim.attempt,
        input_tokens=F("input_tokens") + usage.input_tokens,
        cached_tokens=F("cached_tokens") + usage.cache_read_tokens,
        output_tokens=F("output_tokens") + usage.output_tokens,
        cost_micros=F("cost_micros") + sum(call.cost_micros for call in calls),
    )
    if is_ours:
        charge_calls(_payer(generation), calls, source=generation.pk)
    return is_ours


def _told_before(claim: Claim, generation: Generation) -> dict[str, Any]:
    """Return what a claim without calls leaves: all is told, if it was before.

    Otherwise the text of an earlier claim would be billed as that of a worker that was lost.
    """
    has_told = generation.charged_attempt == generation.attempt - 1
    return {"charged_attempt": claim.attempt} if has_told else {}


@transaction.atomic
def _end_unheld(generation: Generation, free: Q, outcome: Outcome) -> Ended | None:
    """End a generation that no worker holds, in an attempt of its own; None if one took it."""
    ending = {**_ending(outcome), "attempt": generation.attempt + 1}
    same = Generation.objects.filter(free, pk=generation.pk, attempt=generation.attempt)
    if not same.update(**ending):
        return None
    end = _settle(generation, outcome, ending, None)
    # Readers may have seen text of an attempt that nobody finished.
    text = "" if outcome.state == State.HALTED else outcome.text
    snapshot = Event(Cursor(end.cursor.attempt, 1), EventType.SNAPSHOT, {"text": text})
    cipher = try_cipher(generation.conversation)
    key = StreamKey(generation.conversation_id, generation.pk, cipher)
    return Ended(key, [snapshot, end])


def request_stop(generation: Generation) -> Ended | None:
    """Ask for an end, keeping the text so far.

    A generation that no worker has begun ends here and is returned; any other is ended by its
    worker, or the next one. One that has ended already stays as it is.
    """
    outcome = Outcome(state=State.STOPPED, text="", last_seq=UNHELD_SEQ, stop_reason="stopped")
    ended = _end_unheld(generation, Q(state=State.QUEUED, attempt=0), outcome)
    if ended is None:
        running = Generation.objects.filter(pk=generation.pk, state__in=ACTIVE_STATES)
        running.update(stop_requested=True)
    return ended


def _abandoned() -> Q:
    return Q(claims__gte=MAX_CLAIMS) & (QUEUED | lapsed())


def list_abandoned() -> list[Generation]:
    """Return what took too many workers with it, so that nobody would wait for it forever."""
    rows = Generation.objects.select_related("conversation__user")
    return list(rows.filter(_abandoned()))


def fail_abandoned(generation: Generation, text: str) -> Ended | None:
    """End such a generation with the text that its readers have; None if one took it after all.

    It is halted where that is not to be kept: whoever found it may be among the workers it took.
    """
    guard = open_gate(generation, text=text)
    outcome = Outcome(
        state=State.FAILED,
        text=text,
        last_seq=UNHELD_SEQ,
        calls=(estimate_call(generation, text=text, ending="lost"),),
        **charged_before(generation),
        error_code=WorkerLost.code,
        error_message=WorkerLost.sentence,
    )
    try:
        guard.finish()
    except Violation as exc:
        outcome = halted(outcome, exc)
    else:
        outcome = replace(outcome, noted=find_doubt(guard))
    return _end_unheld(generation, _abandoned(), outcome)


def abandon_active(conversations: QuerySet[Conversation]) -> list[UUID]:
    """End what is being written in conversations that are about to be deleted; return what it was.

    Call it in the transaction that deletes them: until its end nobody can ask for another answer
    there. Whoever writes one of these has to be told.
    """
    list(conversations.select_for_update().order_by("pk").values_list("pk"))
    active = Generation.objects.filter(conversation__in=conversations, state__in=ACTIVE_STATES)
    # All of them before the first is settled: whoever ends one has it before the person's budget.
    active = active.select_for_update(of=("self",)).order_by("pk")
    # One that ended at this moment has been settled by whoever ended it.
    return [one.pk for one in active.select_related("conversation__user") if _abandon(one)]


def _abandon(generation: Generation) -> bool:
    """End and settle one generation; False if somebody else did.

    What one used that a worker has begun its row cannot say, so the worst case counts.
    """
    active = Generation.objects.filter(pk=generation.pk, state__in=ACTIVE_STATES)
    ended = {"state": State.STOPPED, **_LET_GO}
    calls: tuple[Call, ...] = ()
    if not active.filter(attempt=0).update(**ended):
        if not active.update(**ended):
            return False
        calls = (estimate_call(generation, text=None, ending="stopped"),)
    _charge(generation, calls)
    return True
