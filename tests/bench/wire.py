"""A client of HTTP/1.1 that costs next to nothing while an answer streams.

What arrives is kept with its time and taken apart after the run, so that hundreds of streams do
not wait for their own client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Self
from urllib.parse import urlsplit

ANSWER_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 20.0
# Servers close connections that were idle, uvicorn after five seconds, and a request that is on
# its way just then is lost. Browsers ask again; here it must not happen.
MAX_IDLE_S = 2.0

_LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(slots=True)
class Received:
    """The bytes that followed a request, each piece with the time it arrived."""

    sent_at: float
    pieces: list[tuple[float, bytes]] = field(default_factory=list)


IsEnd = Callable[[bytes], bool]


class Line(asyncio.Protocol):
    """One TCP connection over which one thing is asked at a time."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.host, self.port = address.hostname or "", address.port or 80
        self._transport: asyncio.Transport | None = None
        self._received = Received(0.0)
        self._is_end: IsEnd = is_response_end()
        self._ended: asyncio.Future[bool] | None = None
        self._used_at = 0.0

    async def open(self) -> Self:
        """Connect, unless the connection still stands and was used a moment ago."""
        if monotonic() - self._used_at > MAX_IDLE_S:
            self.close()
        if self._transport is None:
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: self, self.host, self.port)
        return self

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def exchange(
        self, request: bytes, is_end: IsEnd, *, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Received:
        """Send a request and return what came until `is_end` said so, or the connection ended."""
        received = self.send(request, is_end)
        try:
            async with asyncio.timeout(timeout_s):
                await self.ended()
        except TimeoutError:
            self.close()
        return received

    def send(self, request: bytes, is_end: IsEnd) -> Received:
        self._received = Received(monotonic())
        self._is_end = is_end
        self._ended = asyncio.get_running_loop().create_future()
        if self._transport is None:
            self._end()
        else:
            self._transport.write(request)
        return self._received

    async def ended(self) -> None:
        """Return once the end of what was asked last has come."""
        assert self._ended is not None
        await self._ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._used_at = monotonic()

    def data_received(self, data: bytes) -> None:
        self._take(monotonic(), data)

    def _take(self, at: float, piece: bytes) -> None:
        self._received.pieces.append((at, piece))
        # What comes unasked, as a notice on a WebSocket does, is the end of nothing.
        is_asked = self._ended is not None and not self._ended.done()
        if is_asked and self._is_end(piece):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end()

    def _end(self) -> None:
        self._used_at = monotonic()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(True)


def encode_request(
    line: Line, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b""
) -> bytes:
    words = {"host": f"{line.host}:{line.port}", **headers}
    if body:
        words["content-type"] = "application/json"
    if body or method == "POST":
        words["content-length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in words.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def is_response_end() -> IsEnd:
    """Return what knows, piece by piece, whether a response is over."""
    head = b""
    wanted: int | None = None
    tail = b""

    def is_end(data: bytes) -> bool:
        nonlocal head, wanted, tail
        if b"\r\n\r\n" not in head:
            head += data
            if b"\r\n\r\n" not in head:
                return False
            fields, data = head.split(b"\r\n\r\n", 1)
            head = fields + b"\r\n\r\n"
            wanted = content_length(fields)
        if wanted is not None:
            wanted -= len(data)
            return wanted <= 0
        tail = (tail + data)[-len(_LAST_CHUNK) :]
        return tail == _LAST_CHUNK

    return is_end


def content_length(head: bytes) -> int | None:
    """Return the announced length; None for a response in chunks."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":", 1)[1])
    status = status_of(head)
    return 0 if status in {101, 204, 304} else None


def status_of(head: bytes) -> int:
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 else 0


def status_and_body(received: Received) -> tuple[int, bytes]:
    """Return the status of a response, 0 if none came, and its body."""
    body = b"".join(piece for _, piece in body_pieces(received))
    whole = b"".join(data for _, data in received.pieces)
    return status_of(whole.split(b"\r\n", 1)[0]), body


def body_pieces(received: Received) -> Iterator[tuple[float, bytes]]:
    """Yield the body of a response without its framing, as it came."""
    buffer = b""
    is_chunked: bool | None = None
    for at, data in received.pieces:
        buffer += data
        if is_chunked is None:
            if b"\r\n\r\n" not in buffer:
                continue
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            is_chunked = content_length(head) is None
        if not is_chunked:
            yield at, buffer
            buffer = b""
            continue
        while True:
            size, mark, rest = buffer.partition(b"\r\n")
            if not mark or len(rest) < (length := int(size, 16)) + 2:
                break
            yield at, rest[:length]
            buffer = rest[length + 2 :]
