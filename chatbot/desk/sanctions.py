"""What is done about a message, or to a person, after a decision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from chatbot.accounts.suspensions import suspend, warn
from chatbot.audit.naming import name_of
from chatbot.core.errors import ChatError
from chatbot.desk.access import DECIDE, moderator_of, step
from chatbot.desk.event_page import find_event, render_event
from chatbot.desk.forms import SuspensionForm, WarningForm
from chatbot.desk.steps import to_event
from conversations.withdrawing import withdraw_message
from moderation.models import ModerationEvent, Verdict
from moderation.types import Category

FIRST = "Confirm the event first."


def _is_confirmed(request: HttpRequest, event: ModerationEvent) -> bool:
    """Return whether anything may follow from an event; say so where not."""
    if event.verdict == Verdict.CONFIRMED:
        return True
    messages.error(request, FIRST)
    return False


def _withdraw(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """Withdraw the message or answer that an event is about."""
    event = find_event(event_id)
    if event.conversation_id is None or event.message_seq is None:
        messages.error(request, "There is no message to withdraw.")
    elif _is_confirmed(request, event):
        category = Category(event.label or event.category)
        # Its steps are those of the API: the database and the event log are asked in turn.
        take_back = async_to_sync(withdraw_message)
        by = name_of(moderator_of(request))
        try:
            is_new = take_back(event.conversation_id, event.message_seq, category=category, by=by)
        except ChatError as exc:
            messages.error(request, exc.message)
        else:
            messages.success(request, "Withdrawn." if is_new else "It was withdrawn already.")
    return to_event(event_id)


def _warn(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """Show the person a warning once."""

    def say(event: ModerationEvent, by: str, said: dict[str, Any]) -> str:
        warn(event.user_id, by=by, text=said["text"], event_id=event.pk)
        return "They will be shown the warning."

    return _follow(request, event_id, ("warning_form", WarningForm(request.POST)), say)


def _suspend(request: HttpRequest, event_id: UUID) -> HttpResponse:
    def lock_out(event: ModerationEvent, by: str, said: dict[str, Any]) -> str:
        days = said["days"]
        until = timezone.now() + timedelta(days=days) if days else None
        suspend(event.user_id, by=by, reason=said["reason"], until=until, event_id=event.pk)
        return "Suspended." if days else "Suspended until it is lifted."

    return _follow(request, event_id, ("suspension_form", SuspensionForm(request.POST)), lock_out)


def _follow(
    request: HttpRequest,
    event_id: UUID,
    filled: tuple[str, Form],
    act: Callable[[ModerationEvent, str, dict[str, Any]], str],
) -> HttpResponse:
    """Do to a person what a form says, where their event is confirmed, and say what `act` says."""
    name, form = filled
    if not form.is_valid():
        return render_event(request, event_id, {name: form}, status=400)
    event = find_event(event_id)
    if _is_confirmed(request, event):
        messages.success(request, act(event, name_of(moderator_of(request)), form.cleaned_data))
    return to_event(event_id)


withdraw = step(DECIDE)(_withdraw)
give_warning = step(DECIDE)(_warn)
suspend_person = step(DECIDE)(_suspend)
