"""Requests put to an ASGI application as a server puts them, without a server between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatbot.core.tasks import spawn

REQUEST_TASK = "request under test"


@dataclass
class Answer:
    """What the application sent; `part_came` is set by each piece of the body."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    part_came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def named(self) -> dict[str, str]:
        return dict(self.headers)

    @property
    def error(self) -> Any:
        return json.loads(self.body)["error"]["code"]


class Asking:
    """One request in progress. `leave` is the client closing the connection."""

    def __init__(
        self,
        application: Any,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        scheme: str = "http",
    ) -> None:
        self.answer = Answer()
        self._body: bytes | None = body
        self._left = asyncio.Event()
        names = {"host": "testserver", "content-length": str(len(body)), **(headers or {})}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": scheme,
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), text.encode()) for name, text in names.items()],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
        }
        self.task = spawn(application(scope, self._receive, self._send), name=REQUEST_TASK)

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            self.answer.status = event["status"]
            self.answer.headers = [
                (name.decode().title(), text.decode("latin-1")) for name, text in event["headers"]
            ]
        else:
            self.answer.body += event.get("body", b"")
            self.answer.part_came.set()


async def ask(application: Any, method: str, path: str, **options: Any) -> Answer:
    """Put a request and return the whole answer."""
    asking = Asking(application, method, path, **options)
    await asking.task
    return asking.answer
