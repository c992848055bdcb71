"""The chat page: a shell that the modules in static/js fill over the API.

Whoever is suspended sees why instead, and may appeal. Both forms work without a script.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from chatbot.accounts.models import User
from chatbot.accounts.standing import list_unseen
from chatbot.accounts.suspensions import (
    AlreadyAppealed,
    NotSuspended,
    WarningNotFound,
    appeal,
    find_suspension,
    note_seen,
)
from chatbot.core.crypto import CannotOpen
from conversations.events import MAX_APPEAL_CHARS, MakeAppeal
from conversations.sealing import report_unreadable


@never_cache
@login_required
@ensure_csrf_cookie
def chat(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponse:
    user = _person(request)
    if user.is_suspended:
        return _show_suspension(request, user)
    context = {
        "conversation_id": str(conversation_id or ""),
        "display_email": user.email,
        "warnings": list_unseen(user),
    }
    return render(request, "chat/index.html", context)


@require_POST
@login_required
def make_appeal(request: HttpRequest) -> HttpResponse:
    """Keep what the form says; what was said already, or is over, is shown as it is."""
    user = _person(request)
    try:
        # Browsers end the lines of a form with two characters.
        asked = MakeAppeal(text=request.POST.get("text", "").replace("\r\n", "\n"))
    except ValidationError:
        return _show_suspension(request, user)
    try:
        with suppress(AlreadyAppealed, NotSuspended):
            appeal(user.pk, text=asked.text)
    except CannotOpen as exc:
        report_unreadable(f"data key of {user.pk}", exc)
        return _show_suspension(request, user, status=503)
    return redirect("chat")


@require_POST
@login_required
def see_warning(request: HttpRequest, warning_id: UUID) -> HttpResponse:
    with suppress(WarningNotFound):
        note_seen(_person(request).pk, warning_id)
    # Back to the conversation that it was read in.
    came_from = request.headers.get("Referer", "")
    hosts = {request.get_host()}
    if url_has_allowed_host_and_scheme(came_from, hosts, require_https=request.is_secure()):
        return redirect(came_from)
    return redirect("chat")


def _show_suspension(request: HttpRequest, user: User, *, status: int = 403) -> HttpResponse:
    """Show why, with what was typed; a status of 503 says that it could not be kept."""
    context = {
        "is_lost": status == 503,
        "suspension": find_suspension(user.pk),
        "most_chars": MAX_APPEAL_CHARS,
        "text": request.POST.get("text", ""),
    }
    return render(request, "chat/suspended.html", context, status=status)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
