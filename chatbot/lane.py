"""The API's lane past the middlewares that pages need.

Django runs each hook of a middleware on a thread, because a hook might block. What the API needs
of them does not: its hooks run here, in the event loop, in the middlewares' own order. Only a
session is read or written on a thread, and a request with a bearer token has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from csp.middleware import CSPMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import ResolverMatch, resolve

from chatbot.accounts.auth import carries_token
from chatbot.api import api, error_response
from chatbot.core.db import db_call
from chatbot.core.errors import MethodNotAllowed
from chatbot.core.handler import API_PREFIX

Handle = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class _SecureRequest(HttpRequest):
    def is_secure(self) -> bool:
        return True


class ApiLane:
    """Answers the API's views itself; all else takes the way through the middlewares below it."""

    sync_capable = False
    async_capable = True

    def __init__(self, handle: Handle) -> None:
        markcoroutinefunction(self)
        self._handle = handle
        # Typed for sync handlers; the hooks called here use none.
        unused: Any = handle
        self._security = SecurityMiddleware(unused)
        self._session = SessionMiddleware(unused)
        self._common = CommonMiddleware(unused)
        self._csrf = CsrfViewMiddleware(unused)
        constant = (XFrameOptionsMiddleware(unused), CSPMiddleware(unused), self._security)
        self._headers = _constant_headers(constant, HttpRequest())
        self._secure_headers = _constant_headers(constant, _SecureRequest())

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        match = _api_view(request.path_info)
        if match is None:
            return await self._handle(request)
        request.resolver_match = match
        # Read by our handler, which then ends the request without a thread.
        request.stays_in_loop = True  # type: ignore[attr-defined]
        try:
            redirect = self._security.process_request(request)
            response = redirect or await self._answer(request, match)
        except Exception as exc:  # noqa: BLE001 - The API's own handlers log and answer it.
            response = api.on_exception(request, exc)
        for name, value in self._secure_headers if request.is_secure() else self._headers:
            response.headers.setdefault(name, value)
        return response

    async def _answer(self, request: HttpRequest, match: ResolverMatch) -> HttpResponseBase:
        if carries_token(request):
            return await self._call_view(request, match)
        self._session.process_request(request)
        self._csrf.process_request(request)
        response: Any = await self._call_view(request, match)
        response = self._csrf.process_response(request, response)
        if request.session.modified:
            return await db_call(self._session.process_response, request, response)
        return self._session.process_response(request, response)

    async def _call_view(self, request: HttpRequest, match: ResolverMatch) -> HttpResponseBase:
        self._common.process_request(request)
        response: Any = await match.func(request, *match.args, **match.kwargs)
        if response.status_code == MethodNotAllowed.status:
            response = _typed_refusal(response)
        return self._common.process_response(request, response)


def _constant_headers(
    middlewares: Iterable[Any], request: HttpRequest
) -> tuple[tuple[str, str], ...]:
    """Ask the middlewares what they set on every response of the API."""
    request.path = request.path_info = API_PREFIX
    response = HttpResponse()
    del response["Content-Type"]
    for middleware in middlewares:
        response = middleware.process_response(request, response)
    return tuple(response.items())


def _api_view(path: str) -> ResolverMatch | None:
    """Return the view if it needs no thread, and checks by itself where a request comes from."""
    if not path.startswith(API_PREFIX):
        return None
    match = resolve(path)
    view = match.func
    return match if iscoroutinefunction(view) and getattr(view, "csrf_exempt", False) else None


def _typed_refusal(refused: HttpResponseBase) -> HttpResponse:
    """Give a refused method the same body as every other error."""
    typed = error_response(MethodNotAllowed())
    typed["Allow"] = refused["Allow"]
    return typed
