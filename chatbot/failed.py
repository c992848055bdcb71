"""What a request is answered whose view failed: 503 while the database is away, else 500."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

from chatbot.api import error_response
from chatbot.core.db import DatabaseAway
from chatbot.core.errors import ChatError, Unavailable
from chatbot.core.stores import RETRY_AFTER_S


def answer_failure(request: HttpRequest) -> HttpResponse:
    """Answer in the language of the address: JSON under /api/, a page elsewhere.

    Django calls this where the exception is being handled, whether it was raised by a view or by
    a middleware, which no middleware could catch.
    """
    is_away = isinstance(sys.exception(), DatabaseAway)
    if request.path.startswith("/api/"):
        return error_response(Unavailable(retry_after_s=RETRY_AFTER_S) if is_away else ChatError())
    if not is_away:
        return server_error(request)
    # Without the request: its context processors would ask the database who this is.
    response = HttpResponse(render_to_string("503.html"), status=Unavailable.status)
    response["Retry-After"] = str(round(RETRY_AFTER_S))
    response["Cache-Control"] = "no-store"
    return response
