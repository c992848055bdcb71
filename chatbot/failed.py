"""What a request is answered that no view could: JSON under /api/, a page elsewhere."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.csrf import csrf_failure
from django.views.defaults import server_error

from chatbot.accounts.auth import CsrfFailed
from chatbot.api import error_response
from chatbot.core.db import DatabaseAway
from chatbot.core.errors import ChatError, Unavailable
from chatbot.core.handler import API_PREFIX
from chatbot.core.stores import RETRY_AFTER_S


def answer_failure(request: HttpRequest) -> HttpResponse:
    """Answer 503 while the database is away, else 500.

    Django calls this where the exception is being handled, whether it was raised by a view or by
    a middleware, which no middleware could catch.
    """
    is_away = isinstance(sys.exception(), DatabaseAway)
    if request.path.startswith(API_PREFIX):
        return error_response(Unavailable(retry_after_s=RETRY_AFTER_S) if is_away else ChatError())
    if not is_away:
        return server_error(request)
    # Without the request: its context processors would ask the database who this is.
    response = HttpResponse(render_to_string("503.html"), status=Unavailable.status)
    response["Retry-After"] = str(round(RETRY_AFTER_S))
    response["Cache-Control"] = "no-store"
    return response


def answer_forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer what has no CSRF token. Of the API only its documentation's addresses come here."""
    if request.path.startswith(API_PREFIX):
        return error_response(CsrfFailed())
    return csrf_failure(request, reason)
