"""Django's ASGI handler, in which an API request costs no thread.

Django's own sends its signals, logs refusals and closes the response on a thread made for that one
request. The API does its blocking work through `db_call`: on such a thread there is nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix, set_urlconf
from django.utils.log import log_response

from chatbot.core.patience import bounded_replies

API_PREFIX = "/api/"

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Handler(ASGIHandler):
    """Answers addresses under /api/ in the event loop, and all others as Django does."""

    async def handle(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> HttpResponseBase | None:
        if not scope["path"].startswith(API_PREFIX):
            # Pages ask the database on threads that nobody gives up on, so each wait is bounded.
            with bounded_replies(settings.DATABASE_TIMEOUT_S):
                return await super().handle(scope, receive, send)
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return None
        with body:
            set_script_prefix(get_script_prefix(scope))
            signals.request_started.send(sender=type(self), scope=scope)
            request, refusal = self.create_request(scope, body)
            if request is None:
                assert refusal is not None
                await self.send_response(refusal, send)
                refusal.close()
            else:
                await self._answer(request, receive, send)
        return None

    async def _answer(self, request: ASGIRequest, receive: Receive, send: Send) -> None:
        """Answer, and stop as soon as the client goes."""
        response: HttpResponseBase | None = None
        try:
            async with asyncio.TaskGroup() as group:
                # Raises when the client goes, and the group then cancels what is below.
                departure = group.create_task(self.listen_for_disconnect(receive))
                response = await self.run_get_response(request)
                await self.send_response(response, send)
                departure.cancel()
        except* RequestAborted:
            pass
        finally:
            if response is None:
                signals.request_finished.send(sender=type(self))
            elif hasattr(request, "stays_in_loop"):
                response.close()
            else:
                # A sync view or middleware may have left a connection on the request's thread.
                await sync_to_async(response.close)()

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(API_PREFIX):
            return await super().get_response_async(request)
        set_urlconf(settings.ROOT_URLCONF)
        chain: Any = self._middleware_chain  # type: ignore[attr-defined]
        response: HttpResponseBase = await chain(request)
        response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        if response.status_code >= 500:
            # A handler of Django's may send it by mail.
            await sync_to_async(_log, thread_sensitive=False)(request, response)
        elif response.status_code >= 400:
            _log(request, response)
        return response


def _log(request: HttpRequest, response: Any) -> None:
    log_response(
        "%s: %s",
        response.reason_phrase,
        request.path,
        response=response,
        request=request,
    )
