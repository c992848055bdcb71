"""A WebSocket client (RFC 6455) as light as the HTTP one: whole text frames with their times."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from time import monotonic

from tests.bench.wire import IsEnd, Line, encode_request, status_and_body

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
# The mask protects proxies from clients; ours is alone on the loopback, and zero costs nothing.
_MASK = bytes(4)
_KEY = base64.b64encode(bytes(16)).decode()


class HandshakeRefused(Exception):
    """The server did not switch protocols."""


def encode_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return one client's frame, final and masked."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return head + _MASK + payload


def split_frames(buffer: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the server's whole frames as opcode and payload, and the bytes that are left."""
    frames: list[tuple[int, bytes]] = []
    at = 0
    while len(buffer) - at >= 2:
        length, start = buffer[at + 1], at + 2
        if length == 126:
            start = at + 4
            length = int.from_bytes(buffer[at + 2 : start])
        elif length == 127:
            start = at + 10
            length = int.from_bytes(buffer[at + 2 : start])
        if len(buffer) < start + length:
            break
        frames.append((buffer[at] & 0x0F, buffer[start : start + length]))
        at = start + length
    return frames, buffer[at:]


class SocketLine(Line):
    """A connection that becomes a WebSocket; what is received are payloads, one a frame."""

    def __init__(self, url: str, path: str, headers: Mapping[str, str]) -> None:
        super().__init__(url)
        self._path = path
        self._headers = dict(headers)
        self._is_upgraded = False
        self._buffer = b""

    async def shake_hands(self) -> None:
        """Connect and switch protocols. Raises HandshakeRefused."""
        self._is_upgraded = False
        self._buffer = b""
        await self.open()
        words = {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": _KEY,
            "origin": f"http://{self.host}:{self.port}",
            **self._headers,
        }
        request = encode_request(self, "GET", self._path, headers=words)
        received = await self.exchange(request, self._switches())
        status, body = status_and_body(received)
        if status != 101:
            raise HandshakeRefused(f"{status} {body[:200]!r}")

    @property
    def is_open(self) -> bool:
        return self._transport is not None and self._is_upgraded

    def _switches(self) -> IsEnd:
        head = b""

        def is_end(data: bytes) -> bool:
            nonlocal head
            head += data
            if b"\r\n\r\n" not in head:
                return False
            self._is_upgraded = head.startswith(b"HTTP/1.1 101")
            self._buffer = head.split(b"\r\n\r\n", 1)[1]
            return True

        return is_end

    def data_received(self, data: bytes) -> None:
        if not self._is_upgraded:
            super().data_received(data)
            return
        at = monotonic()
        frames, self._buffer = split_frames(self._buffer + data)
        for opcode, payload in frames:
            if opcode in {TEXT, BINARY}:
                self._take(at, payload)
            elif opcode == PING and self._transport is not None:
                self._transport.write(encode_frame(payload, PONG))
            elif opcode == CLOSE:
                self.close()
