"""The middleware as a server drives it: raw ASGI events in, raw ASGI events out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from chatbot.core.bodylimit import BodyLimit

LIMIT = 10


class Application:
    """Reads a whole body as Django does, then answers with its length."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.body = b""
        self.disconnected = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] != "http":
            return
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.disconnected = True
                break
            self.body += event.get("body", b"")
            if not event.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(self.body)})


class Exchange:
    """One request through the middleware."""

    def __init__(self, chunks: Iterable[bytes], **headers: str) -> None:
        parts = list(chunks)
        self.events = [
            {"type": "http.request", "body": part, "more_body": index < len(parts) - 1}
            for index, part in enumerate(parts)
        ]
        self.headers = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]
        self.application = Application()
        self.sent: list[Any] = []

    async def run(self, kind: str = "http") -> Exchange:
        async def receive() -> Any:
            return self.events.pop(0) if self.events else {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            self.sent.append(event)

        scope: Any = {"type": kind, "headers": self.headers}
        await BodyLimit(self.application, max_bytes=LIMIT)(scope, receive, send)
        return self

    @property
    def status(self) -> int:
        starts = [event for event in self.sent if event["type"] == "http.response.start"]
        assert len(starts) == 1, "a response starts once"
        return int(starts[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(event.get("body", b"") for event in self.sent)


async def test_an_announced_length_beyond_the_limit_is_refused_unread() -> None:
    exchange = await Exchange([b"x" * 11], content_length="11").run()
    assert exchange.status == 413
    assert json.loads(exchange.body)["error"]["code"] == "too_large"
    assert not exchange.application.scopes
    assert len(exchange.events) == 1


@pytest.mark.parametrize("announced", ["11", "9" * 18, "9" * 40])
async def test_huge_announcements_are_refused_too(announced: str) -> None:
    assert (await Exchange([b""], content_length=announced).run()).status == 413


async def test_a_body_at_the_limit_passes() -> None:
    exchange = await Exchange([b"x" * LIMIT], content_length=str(LIMIT)).run()
    assert exchange.status == 200
    assert exchange.body == b"10"


async def test_a_chunked_body_at_the_limit_passes() -> None:
    exchange = await Exchange([b"x" * 5, b"x" * 5]).run()
    assert exchange.body == b"10"


@pytest.mark.parametrize("headers", [{}, {"content_length": "3"}, {"content_length": "-1"}])
async def test_a_body_that_grows_beyond_the_limit_is_cut_there(headers: dict[str, str]) -> None:
    exchange = await Exchange([b"x" * 4] * 6, **headers).run()
    assert exchange.status == 413
    assert exchange.application.disconnected
    assert len(exchange.application.body) <= LIMIT
    assert len(exchange.events) == 3, "what comes after the limit is not read"


async def test_what_the_application_says_after_the_refusal_is_dropped() -> None:
    exchange = await Exchange([b"x" * 11]).run()
    assert [event.get("status", 413) for event in exchange.sent] == [413, 413]
    assert exchange.sent[-1]["more_body"] is False


async def test_the_refusal_closes_the_connection() -> None:
    exchange = await Exchange([b"x" * 11], content_length="11").run()
    assert (b"connection", b"close") in exchange.sent[0]["headers"]


async def test_other_connections_pass_untouched() -> None:
    exchange = await Exchange([], content_length="999").run("websocket")
    assert [scope["type"] for scope in exchange.application.scopes] == ["websocket"]
    assert not exchange.sent
