"""What is done about a message, or to a person, after a decision."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import messages
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
    form = WarningForm(request.POST)
    if not form.is_valid():
        return render_event(request, event_id, {"warning_form": form}, status=400)
    event = find_event(event_id)
    if _is_confirmed(request, event):
        by = name_of(moderator_of(request))
        warn(event.user_id, by=by, text=form.cleaned_data["text"], event_id=event.pk)
        messages.success(request, "They will be shown the warning.")
    return to_event(event_id)


def _suspend(request: HttpRequest, event_id: UUID) -> HttpResponse:
    form = SuspensionForm(request.POST)
    if not form.is_valid():
        return render_event(request, event_id, {"suspension_form": form}, status=400)
    event = find_event(event_id)
    if _is_confirmed(request, event):
        said = form.cleaned_data
        days = said["days"]
        until = timezone.now() + timedelta(days=days) if days else None
        by = name_of(moderator_of(request))
        suspend(event.user_id, by=by, reason=said["reason"], until=until, event_id=event.pk)
        messages.success(request, "Suspended." if days else "Suspended until it is lifted.")
    return to_event(event_id)


withdraw = step(DECIDE)(_withdraw)
give_warning = step(DECIDE)(_warn)
suspend_person = step(DECIDE)(_suspend)
