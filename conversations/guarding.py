"""The gate that an answer passes on its way out, and what is noted of what was found there."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from conversations.models import Conversation, Generation, Screening
from moderation.gate import OutputGate
from moderation.judging import follow, judge
from moderation.models import Action, Source
from moderation.policy import Action as Verdict, Decision
from moderation.recording import Where, note_event
from moderation.types import Surface


@dataclass(frozen=True, slots=True)
class Noted:
    """What was found in an answer's text, and what was done."""

    text: str
    decision: Decision
    action: Action


def open_gate(generation: Generation, *, text: str = "") -> OutputGate:
    """Return the gate of an answer of which `text` was let out by earlier attempts."""
    ask = follow(
        plan=generation.conversation.user.plan,
        is_strict=generation.screening == Screening.FLAGGED,
    )
    return OutputGate(ask, hold_back=settings.MODERATION_HOLD_BACK, text=text)


def find_doubt(gate: OutputGate) -> Noted | None:
    """Return what moderators are to see of an answer that passed; None of one that is clean."""
    return Noted(gate.text, gate.flagged, Action.FLAGGED) if gate.flagged else None


def note_answer(generation: Generation, noted: Noted) -> None:
    """Note for moderators what was found in an answer; in the transaction that ends it."""
    where = Where(
        user_id=generation.user_id,
        plan=generation.conversation.user.plan,
        source=Source.ANSWER,
        conversation_id=generation.conversation_id,
        generation_id=generation.pk,
        message_seq=generation.answer_seq,
    )
    note_event(noted.text, noted.decision, noted.action, where)


def may_keep(text: str, conversation: Conversation, source: Source) -> bool:
    """Say whether what a model wrote for the house may be kept.

    What may not is noted in the caller's transaction.
    """
    plan = conversation.user.plan
    decision = judge(text, surface=Surface.OUTPUT, plan=plan)
    if decision.action is not Verdict.BLOCK:
        return True
    where = Where(conversation.user_id, plan, source, conversation_id=conversation.pk)
    note_event(text, decision, Action.HALTED, where)
    return False
