"""ASGI middleware that refuses a request body beyond a bound.

It bounds what the application sees, not what the server keeps before. Under uvicorn, which hands
a body on as it comes, that is the same: Django keeps a body below FILE_UPLOAD_MAX_MEMORY_SIZE
(2.5 MB) in memory, so none within the bound is written to disk. Daphne takes the whole body
first; embedded mode bounds it there, in `chatbot.core.webrequest`.
"""

from __future__ import annotations

from typing import Any

import orjson
from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

from chatbot.core.errors import TooLarge

REFUSAL_HEADERS = [(b"content-type", b"application/json"), (b"connection", b"close")]


class BodyLimit:
    """Answers 413 by the announced length, or as soon as a body without one grows too long."""

    def __init__(self, application: ASGI3Application, *, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if _announced_length(scope["headers"]) > self._max_bytes:
            await _refuse(send)
            return
        taken = 0
        refused = False

        async def bounded_receive() -> ASGIReceiveEvent:
            nonlocal taken, refused
            event = await receive()
            if event["type"] == "http.request":
                taken += len(event.get("body", b""))
                if taken > self._max_bytes and not refused:
                    refused = True
                    await _refuse(send)
                if refused:
                    return {"type": "http.disconnect"}
            return event

        async def guarded_send(event: ASGISendEvent) -> None:
            if not refused:
                await send(event)

        await self._application(scope, bounded_receive, guarded_send)


def _announced_length(headers: Any) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def refusal_body() -> bytes:
    """Return the error as every door of the API encodes it."""
    return orjson.dumps({"error": TooLarge().body()})


async def _refuse(send: ASGISendCallable) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": TooLarge.status,
            "headers": REFUSAL_HEADERS,
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": refusal_body(), "more_body": False})
