"""A web process that is asked to end lets its streams go, for their readers to resume elsewhere.

The server would wait for a stream as long as for any answer, and break it off when its patience
ends. Only the application knows that a reader loses nothing by coming again, so it ends the
response in order, and leaves the patience to requests that are still at work.

A connection that was just being accepted is one that uvicorn does not tell to end. It would serve
request after request until the patience ends, and break the last one off: each response from now
on closes its connection (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
import signal
from types import FrameType
from typing import Any

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

EVENT_STREAM = b"text/event-stream"
CLOSE = (b"connection", b"close")


class StreamDrain:
    """The application, whose event streams end once `begin` was called."""

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application
        self._exchanges: set[_Exchange] = set()
        self.has_begun = False

    def begin(self) -> None:
        """End the streams there are, and from now on each one as it begins."""
        self.has_begun = True
        for exchange in self._exchanges:
            exchange.let_go()

    def begin_at(self, number: signal.Signals) -> None:
        """Begin when the process gets a signal, before the server does what it does then."""
        loop = asyncio.get_running_loop()
        server: Any = signal.getsignal(number)

        def on_signal(received: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            if callable(server):
                server(received, frame)

        signal.signal(number, on_signal)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        exchange = _Exchange(self, receive, send)
        self._exchanges.add(exchange)
        try:
            await self._application(scope, exchange.receive, exchange.send)
            await exchange.finish()
        finally:
            self._exchanges.discard(exchange)


class _Exchange:
    """One request and its response."""

    def __init__(
        self, drain: StreamDrain, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        self._drain = drain
        self._receive = receive
        self._send = send
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._has_body = False
        self._is_streaming = False

    def let_go(self) -> None:
        if self._is_streaming and not self._left.done():
            self._left.set_result(None)

    async def receive(self) -> ASGIReceiveEvent:
        if not self._has_body:
            event = await self._receive()
            self._has_body = not event.get("more_body", False)
            return event
        # All that can still come is the end: from the reader, or from here.
        coming = asyncio.ensure_future(self._receive())
        either: list[asyncio.Future[Any]] = [coming, self._left]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else {"type": "http.disconnect"}
        finally:
            coming.cancel()

    async def send(self, event: ASGISendEvent) -> None:
        if event["type"] == "http.response.start" and self._drain.has_begun:
            event = {**event, "headers": [*event["headers"], CLOSE]}
        await self._send(event)
        if event["type"] == "http.response.start":
            self._is_streaming = any(
                name.lower() == b"content-type" and value.startswith(EVENT_STREAM)
                for name, value in event["headers"]
            )
            if self._drain.has_begun:
                self.let_go()
        elif event["type"] == "http.response.body" and not event.get("more_body", False):
            self._is_streaming = False

    async def finish(self) -> None:
        """End a response that was let go of, so that its reader sees no broken one."""
        if self._is_streaming and self._left.done():
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
