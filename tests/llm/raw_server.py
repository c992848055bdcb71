"""A server that says the bytes it is given and nothing else, for what no honest server says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.fakes.script import Script, closing, delta, opening

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def framed(*pieces: bytes) -> bytes:
    """Return the pieces as chunks of a body (RFC 9112, section 7.1)."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


BEGINNING = framed(opening(Script(), model="m", input_tokens=1), delta("Hel"))
REST = framed(delta("lo"), closing(Script(), output_tokens=2))


@dataclass
class RawServer:
    """What it was asked, and whether its client has gone."""

    url: str = ""
    first_lines: list[bytes] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def raw_server(
    *writes: bytes, tls: ssl.SSLContext | None = None, pause_s: float = 0.0
) -> AsyncIterator[RawServer]:
    """Answer every connection's first request with `writes`, then keep it open."""
    state = RawServer()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        state.first_lines.append(head.split(b"\r\n", 1)[0])
        length = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
        await reader.readexactly(int(length.split(b":")[1]))
        for write in writes:
            writer.write(write)
            await writer.drain()
            await asyncio.sleep(pause_s)
        await reader.read()
        state.closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    state.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield state
    finally:
        server.close()
        await _close(writers)


# From an accepted connection to the first line of its task, in turns of the event loop.
TURNS = 5


async def _close(writers: list[asyncio.StreamWriter]) -> None:
    """Close all connections, those too whose client came at the very end."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
