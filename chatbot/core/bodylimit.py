"""ASGI middleware that refuses a request body beyond a bound, before it is kept anywhere."""

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


async def _refuse(send: ASGISendCallable) -> None:
    body = orjson.dumps({"error": TooLarge().body()})
    await send(
        {
            "type": "http.response.start",
            "status": TooLarge.status,
            "headers": [(b"content-type", b"application/json"), (b"connection", b"close")],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
