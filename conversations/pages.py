"""The chat page: a shell that the modules in static/js fill over the API."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie

from chatbot.accounts.models import User


@never_cache
@login_required
@ensure_csrf_cookie
def chat(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponse:
    assert isinstance(request.user, User)
    context = {
        "conversation_id": str(conversation_id or ""),
        "display_email": request.user.email,
    }
    return render(request, "chat/index.html", context)
