"""Appeals against suspensions: the list of those that wait, and the page of one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from chatbot.accounts.sanctions import Suspension
from chatbot.accounts.suspensions import decide_appeal, list_open_appeals, read_appeal
from chatbot.audit.log import record
from chatbot.audit.naming import name_of
from chatbot.core.crypto import CannotOpen
from chatbot.desk.access import DECIDE, SEE, form, moderator_of, page
from chatbot.desk.forms import AppealForm
from chatbot.desk.showing import UNAVAILABLE
from conversations.sealing import report_unreadable
from moderation.models import ModerationEvent
from moderation.policies import read_policy
from moderation.strikes import count_strikes

SHOWN = 100


def _list_appeals(request: HttpRequest) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Appeals",
        "appeals": list_open_appeals()[:SHOWN],
        "may_decide": request.user.has_perm(DECIDE),
    }
    return render(request, "admin/desk/appeals.html", context)


def _decide_appeal(request: HttpRequest, suspension_id: UUID) -> HttpResponse:
    """Show what a person says against their suspension, or answer it."""
    suspension = Suspension.objects.select_related("user").filter(pk=suspension_id).first()
    if suspension is None or suspension.appealed_at is None:
        raise Http404
    said = AppealForm(request.POST or None)
    if request.method == "POST" and said.is_valid():
        return _answer(request, suspension_id, said.cleaned_data)
    # The audit log has it before it is opened.
    record(name_of(moderator_of(request)), "content.read", name_of(suspension), what="appeal")
    return _show(request, suspension, said)


def _answer(request: HttpRequest, suspension_id: UUID, said: dict[str, Any]) -> HttpResponse:
    is_granted = said["decision"] == "granted"
    by = name_of(moderator_of(request))
    if decide_appeal(suspension_id, by=by, is_granted=is_granted, answer=said["answer"]):
        messages.success(request, "Granted." if is_granted else "Refused.")
    else:
        messages.error(request, "This appeal was decided already.")
    return redirect("desk-appeals")


def _show(request: HttpRequest, suspension: Suspension, said: AppealForm) -> HttpResponse:
    try:
        text = read_appeal(suspension)
    except CannotOpen as exc:
        report_unreadable(f"appeal of {suspension.pk}", exc)
        text = UNAVAILABLE
    events = ModerationEvent.objects.filter(user=suspension.user).order_by("-created")
    rules = read_policy().strikes
    context = {
        **admin.site.each_context(request),
        "title": "Appeal",
        "suspension": suspension,
        "text": text,
        "form": said,
        "events": events[:10],
        "strikes": round(count_strikes(suspension.user_id, rules, now=timezone.now()), 2),
        "is_waiting": suspension.appeal_decided_at is None,
    }
    return render(request, "admin/desk/appeal.html", context, status=400 if said.errors else 200)


list_appeals = page(SEE)(_list_appeals)
show_appeal = form(DECIDE)(_decide_appeal)
