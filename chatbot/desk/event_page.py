"""The page of one event: looking at it claims it, and what was said is shown to who has the claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from chatbot.audit.log import record
from chatbot.audit.naming import name_of
from chatbot.desk.access import DECIDE, SEE, moderator_of, page
from chatbot.desk.forms import ReasonForm, RulingForm, SuspensionForm, WarningForm
from chatbot.desk.showing import (
    can_withdraw,
    describe_person,
    is_open,
    list_bars,
    open_excerpt,
    open_note,
)
from moderation.deciding import LEASE, claim_event
from moderation.errors import AlreadyDecided, ClaimLapsed, EventGone, HeldByAnother
from moderation.models import ModerationEvent, Verdict


def look_at(request: HttpRequest, event_id: UUID) -> tuple[ModerationEvent, bool]:
    """Return an event, and whether this person is shown what was said.

    An open one is claimed by looking, where nobody else has it. The audit log has every new look
    before the text is read. Raises Http404.
    """
    moderator = moderator_of(request)
    now = timezone.now()
    if request.user.has_perm(DECIDE):
        try:
            return find_event(claim_event(event_id, moderator=moderator.pk, now=now).event.pk), True
        except (HeldByAnother, ClaimLapsed):
            return find_event(event_id), False
        except EventGone as exc:
            raise Http404 from exc
        except AlreadyDecided:
            event = find_event(event_id)
        is_fresh = event.decided_at is not None and event.decided_at > now - LEASE
        if event.decided_by_id != moderator.pk or not is_fresh:
            record(name_of(moderator), "content.read", name_of(event), what="excerpt")
        return event, True
    return find_event(event_id), False


def find_event(event_id: UUID) -> ModerationEvent:
    """Return an event with whom it is about and who has it. Raises Http404."""
    rows = ModerationEvent.objects.select_related("user", "claimed_by", "decided_by")
    event = rows.filter(pk=event_id).first()
    if event is None:
        raise Http404
    return event


def describe(request: HttpRequest, event_id: UUID) -> dict[str, Any]:
    """Return what the page shows of an event to this person."""
    event, may_read = look_at(request, event_id)
    return {
        **admin.site.each_context(request),
        "title": f"{event.category}: {event.get_source_display()}",
        "event": event,
        "is_open": is_open(event),
        "may_read": may_read,
        "may_decide": request.user.has_perm(DECIDE),
        "excerpt": open_excerpt(event) if may_read else None,
        "note": open_note(event) if may_read else "",
        "bars": list_bars(event),
        "person": describe_person(event, now=timezone.now()),
        "ruling_form": RulingForm(),
        "reason_form": ReasonForm(),
        "is_confirmed": event.verdict == Verdict.CONFIRMED,
        "can_withdraw": can_withdraw(event),
        "warning_form": WarningForm(),
        "suspension_form": SuspensionForm(),
    }


def render_event(
    request: HttpRequest, event_id: UUID, more: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Answer with the page of an event, and more on it."""
    context = {**describe(request, event_id), **more}
    return render(request, "admin/desk/event.html", context, status=status)


def _show_event(request: HttpRequest, event_id: UUID) -> HttpResponse:
    return render_event(request, event_id, {})


show_event = page(SEE)(_show_event)
