"""Daphne's HTTP side with a body that is bounded and stays in memory.

Twisted takes a whole body before any ASGI code runs, and keeps a long one in a temporary file:
what people write would reach the disk in the clear, and without a bound.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.server import Server
from twisted.internet.interfaces import IAddress

from chatbot.core.bodylimit import REFUSAL_HEADERS, refusal_body
from chatbot.core.errors import TooLarge

# A connection closed on unread bytes is reset, and many a client then loses the answer that was
# on its way. So what still comes is dropped for this long.
LINGER_S = 2.0


class BoundedRequest(WebRequest):  # type: ignore[misc]
    """Answers 413 by the announced length, or as soon as a chunked body passes the bound."""

    _is_refused = False
    _cut: Any = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Twisted would read forms too, and refuse what it cannot read before the API says why.
        super().__init__(*arguments, parsePOSTFormSubmission=False, **options)

    def handle_reply(self, message: Any) -> None:
        # Twisted leaves out the first piece of the answer to a HEAD and would send the rest: the
        # client takes it for the answer to its next request.
        if self.method == b"HEAD" and message.get("body"):
            message = {**message, "body": b""}
        super().handle_reply(message)

    # Twisted's names.
    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        if length is not None and length > self._max_bytes:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self.content.tell() + len(data) > self._max_bytes:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._is_refused:
            self.channel.loseConnection()
        else:
            super().requestReceived(command, path, version)

    def connectionLost(self, reason: Any) -> None:
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        super().connectionLost(reason)

    @property
    def _max_bytes(self) -> int:
        return int(self.channel.factory.max_body_bytes)

    def _refuse(self) -> None:
        self._is_refused = True
        self.content = BytesIO()
        # Twisted would invite the body that was just refused.
        self.requestHeaders.removeHeader(b"Expect")
        body = refusal_body()
        headers = [*REFUSAL_HEADERS, (b"content-length", b"%d" % len(body))]
        self.channel.writeHeaders(b"HTTP/1.1", b"%d" % TooLarge.status, b"Too Large", headers)
        self.channel.write(body)
        transport = self.channel.transport
        transport.loseWriteConnection()
        self._cut = self.channel.callLater(LINGER_S, transport.abortConnection)


class BoundedFactory(HTTPFactory):  # type: ignore[misc]
    def __init__(self, server: Server, *, max_body_bytes: int) -> None:
        super().__init__(server)
        self.max_body_bytes = max_body_bytes

    def buildProtocol(self, addr: IAddress) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = BoundedRequest
        return protocol


class BoundedServer(Server):  # type: ignore[misc]
    """Daphne's server, which refuses bodies beyond `max_body_bytes` and writes none to disk."""

    def __init__(self, *arguments: Any, max_body_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._bounded_factory = BoundedFactory(self, max_body_bytes=max_body_bytes)

    @property
    def http_factory(self) -> BoundedFactory:
        return self._bounded_factory

    @http_factory.setter
    def http_factory(self, _: HTTPFactory) -> None:
        """Keep ours: Daphne makes its own inside `run`, and has no other place to give one."""

    def kill_all_applications(self) -> Any:
        # Daphne expects one on each connection; a request whose body is on its way has none yet.
        ended = asyncio.get_event_loop().create_future()
        ended.set_result(None)
        for details in self.connections.values():
            details.setdefault("application_instance", ended)
        return super().kill_all_applications()
