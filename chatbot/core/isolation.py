"""The edge between Daphne and the application: a context and an end of its own for each task."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

logger = logging.getLogger(__name__)

# The server met a condition it did not expect (RFC 6455, section 7.4.1).
CLOSE_INTERNAL_ERROR = 1011


def isolate(application: ASGI3Application) -> ASGI3Application:
    """Return the application with a fresh context for each task, and no exception out of it.

    Daphne takes a keep-alive connection's next request inside the context that ended the last
    one; what asgiref keeps there is over by then, and every sync call would fail. And an exception
    after a response has begun stops the timer with which Daphne looks after all connections.
    """

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_task(_guard(application, scope, receive, send), context=Context())

    return run


async def _guard(
    application: ASGI3Application,
    scope: Scope,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
) -> None:
    has_begun = False

    async def noted_send(event: ASGISendEvent) -> None:
        nonlocal has_begun
        has_begun = True
        await send(event)

    try:
        await application(scope, receive, noted_send)
    except Exception:
        # Nothing stands behind this but the server, which does not bear it (see above).
        logger.exception("A connection failed")
        await _end(scope, send, has_begun=has_begun)


async def _end(scope: Scope, send: ASGISendCallable, *, has_begun: bool) -> None:
    """Close what is open, so that the other side does not wait for more."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": CLOSE_INTERNAL_ERROR, "reason": None})
        return
    if not has_begun:
        await send({"type": "http.response.start", "status": 500, "headers": [], "trailers": False})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
