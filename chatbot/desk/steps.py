"""What is done from the page of an event. Each answers with a page that says what has become of it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone

from chatbot.audit.log import record
from chatbot.audit.naming import name_of
from chatbot.core.crypto import CannotOpen
from chatbot.desk.access import DECIDE, moderator_of, step
from chatbot.desk.event_page import look_at, render_event
from chatbot.desk.forms import ReasonForm, RulingForm
from conversations.around import read_around
from conversations.escalating import escalate
from conversations.sealing import report_unreadable
from moderation.deciding import claim_next, decide, release
from moderation.errors import NotDecided
from moderation.models import Verdict

QUEUE = "admin:moderation_moderationevent_changelist"
EVENT = "admin:moderation_moderationevent_change"
# Enough to understand what was meant.
MESSAGES_BEFORE = 4
MESSAGES_AFTER = 2


def to_event(event_id: UUID) -> HttpResponseRedirect:
    return redirect(EVENT, event_id)


def _take_next(request: HttpRequest) -> HttpResponse:
    """Claim the most urgent event that nobody has, and go there."""
    event = claim_next(moderator=moderator_of(request).pk, now=timezone.now())
    if event is None:
        messages.info(request, "Nothing is waiting that nobody has.")
        return redirect(QUEUE)
    return to_event(event.pk)


def _release(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """Give a claim back, and go to the queue."""
    release(event_id, moderator=moderator_of(request).pk)
    return redirect(QUEUE)


def _decide(request: HttpRequest, event_id: UUID) -> HttpResponse:
    form = RulingForm(request.POST)
    if not form.is_valid():
        return render_event(request, event_id, {"ruling_form": form}, status=400)
    said = form.cleaned_data
    try:
        with transaction.atomic():
            event = decide(
                event_id,
                moderator=moderator_of(request).pk,
                verdict=Verdict(said["verdict"]),
                label=said["label"],
                note=said["note"],
            )
            escalate([event])
    except NotDecided as exc:
        messages.error(request, exc.sentence)
    except CannotOpen as exc:
        report_unreadable(f"key of event {event_id}", exc)
        messages.error(request, "A note cannot be kept with this event: its key does not open.")
    else:
        messages.success(request, f"{event.get_verdict_display()}.")
    return to_event(event_id)


def _show_context(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """Show the messages around an event to who has said why; the audit log has the reason first."""
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return render_event(request, event_id, {"reason_form": form}, status=400)
    event, may_read = look_at(request, event_id)
    if not may_read or event.conversation_id is None:
        return to_event(event_id)
    record(
        name_of(moderator_of(request)),
        "content.read",
        name_of(event),
        what="context",
        reason=form.cleaned_data["reason"],
        conversation=str(event.conversation_id),
        seq=event.message_seq,
    )
    around = read_around(
        event.conversation_id,
        seq=event.message_seq,
        at=event.created,
        before=MESSAGES_BEFORE,
        after=MESSAGES_AFTER,
    )
    return render_event(request, event_id, {"around": around, "reason_form": form})


take_next = step(DECIDE)(_take_next)
release_event = step(DECIDE)(_release)
decide_event = step(DECIDE)(_decide)
show_context = step(DECIDE)(_show_context)
