"""A TCP proxy that misbehaves on request: cuts, stalls, swallows, delays, closes one half."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from chatbot.core.tasks import spawn
from tests.processes import free_port

CONNECT_TIMEOUT_S = 5.0


class Mode(StrEnum):
    OPEN = "open"
    STALLED = "stalled"  # Bytes wait, and arrive once it is open again.
    SWALLOWING = "swallowing"  # Connections are accepted; bytes never arrive.
    REFUSING = "refusing"  # Connections are reset.


class _End(asyncio.Protocol):
    """One of the two connections of a pair."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.peer: _End | None = None
        self.transport: asyncio.Transport | None = None
        self._not_before = 0.0
        self._waiting = 0
        self._has_ended = False
        self._is_told_the_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.proxy.ends.add(self)

    def data_received(self, data: bytes) -> None:
        proxy, peer = self.proxy, self.peer
        if proxy.mode is Mode.SWALLOWING or peer is None:
            proxy.swallowed += len(data)
            proxy.touched += 1
            return
        self._later(peer.write, data)

    def eof_received(self) -> bool:
        self._has_ended = True
        self._close_if_over()
        if self.peer is not None and self.proxy.mode is not Mode.SWALLOWING:
            self._later(self.peer.write_eof)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.ends.discard(self)
        if self.peer is not None:
            self._later(self.peer.close)

    def _later(self, act: Callable[..., None], *arguments: object) -> None:
        """Act after the proxy's latency, and never before what came before."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self.proxy.latency_s and not self._waiting:
            act(*arguments)
            return
        self.proxy.touched += 1
        # Later each time: timers of the same moment fire in any order.
        self._not_before = max(self._not_before + 1e-6, now + self.proxy.latency_s)
        # Counted, as a loop handles bytes that have come before timers that are due by then.
        self._waiting += 1
        loop.call_at(self._not_before, self._act, act, *arguments)

    def _act(self, act: Callable[..., None], *arguments: object) -> None:
        self._waiting -= 1
        act(*arguments)

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.hold()

    def resume_writing(self) -> None:
        if self.peer is not None and self.proxy.mode is not Mode.STALLED:
            self.peer.let_go()

    def hold(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def let_go(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self._is_told_the_end:
            self.proxy.swallowed += len(data)
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_eof(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            # Raises where a reset has come that the loop has not handled yet.
            with suppress(OSError):
                self.transport.write_eof()
            self._is_told_the_end = True
            self._close_if_over()

    def _close_if_over(self) -> None:
        """Let go of a connection that has nothing more to say either way: asyncio would keep it."""
        if self._has_ended and self._is_told_the_end:
            self.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Close with a TCP reset, as a dropped network does once it answers again."""
        if self.transport is None:
            return
        self.proxy.touched += not self.transport.is_closing()
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class _Front(_End):
    """The connection that a client opened."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.proxy.mode is Mode.REFUSING:
            self.reset()
        elif self.proxy.mode is not Mode.SWALLOWING:
            self.hold()
            _ = spawn(self._connect(), name=f"proxy to {self.proxy.target}")

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, back = await loop.create_connection(
                    lambda: _End(self.proxy), "127.0.0.1", self.proxy.target
                )
        except OSError:
            self.reset()
            return
        if self not in self.proxy.ends:
            back.close()
            return
        self.peer, back.peer = back, self
        if self.proxy.mode is Mode.STALLED:
            back.hold()
            self.proxy.touched += 1
        else:
            self.let_go()


class Proxy:
    """Stands before one port. `port` is known before it starts, and stays the same."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.mode = Mode.OPEN
        self.latency_s = 0.0
        self.ends: set[_End] = set()
        self.swallowed = 0
        # How many connections were cut, held or closed by half, and pieces swallowed or delayed.
        self.touched = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Front(self), "127.0.0.1", self.port, backlog=1024
        )

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection there is; new ones are accepted."""
        for end in tuple(self.ends):
            end.reset()

    def refuse(self) -> None:
        """Reset every connection, and each new one, until `open`."""
        self.mode = Mode.REFUSING
        self.cut()

    def stall(self) -> None:
        """Hold back all bytes, until `open`."""
        self.mode = Mode.STALLED
        self.touched += len(self.ends)
        for end in self.ends:
            end.hold()

    def swallow(self) -> None:
        """Accept connections and bytes, and let nothing through, until `open`."""
        self.mode = Mode.SWALLOWING

    def half_close(self) -> None:
        """Tell every client that the server has said all it had to say, and go on listening."""
        for end in self.ends:
            if isinstance(end, _Front):
                self.touched += 1
                end.write_eof()

    def open(self) -> None:
        """Behave again. Connections whose bytes were swallowed are reset: they are no use."""
        before, self.mode = self.mode, Mode.OPEN
        if before is Mode.SWALLOWING:
            self.cut()
        for end in self.ends:
            if end.peer is not None:
                end.let_go()
