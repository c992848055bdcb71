"""What one address may post to the account pages before anybody is signed in.

Sign-in, sign-up, password reset and the codes of two-factor sign-in are all of it. django-allauth
has finer limits of its own for each of them; this one holds for all together, and for a day.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django_ratelimit.core import get_usage

from chatbot.core.errors import RateLimited, Unavailable
from chatbot.core.stores import REDIS, RETRY_AFTER_S

PATHS = "/accounts/"

Handle = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class VisitorLimit:
    """Answers 429, with when to try again, beyond the limits; such a request is not counted.

    With Redis away each process counts for itself, or answers 503 (RATE_LIMIT_WITHOUT_REDIS).
    """

    sync_capable = False
    async_capable = True

    def __init__(self, handle: Handle) -> None:
        markcoroutinefunction(self)
        self._handle = handle

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST" and request.path_info.startswith(PATHS):
            refusal = await sync_to_async(_count)(request)
            if refusal is not None:
                return refusal
        return await self._handle(request)


def _count(request: HttpRequest) -> HttpResponse | None:
    """Count a visitor's request; return what refuses it."""
    if request.user.is_authenticated:
        return None
    rates = (f"{settings.SIGN_INS_PER_MINUTE}/m", f"{settings.SIGN_INS_PER_DAY}/d")
    # Looked at before they are counted: what one window refuses is to count in none.
    for increment in (False, True):
        for rate in rates:
            usage = get_usage(request, group="sign-in", key="ip", rate=rate, increment=increment)
            is_full = usage["should_limit"] or (not increment and usage["count"] >= usage["limit"])
            if is_full:
                return _page(RateLimited.status, "429.html", max(1, usage["time_left"] + 1))
    if settings.REDIS_URL and REDIS.is_noted and settings.RATE_LIMIT_WITHOUT_REDIS == "refuse":
        return _page(Unavailable.status, "503.html", RETRY_AFTER_S)
    return None


def _page(status: int, template: str, retry_after_s: float) -> HttpResponse:
    response = HttpResponse(render_to_string(template), status=status)
    response["Retry-After"] = str(round(retry_after_s))
    response["Cache-Control"] = "no-store"
    return response
