"""The proxy itself: a fault that it does not make is a fault that nobody survived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.faults.proxy import Proxy


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.readexactly(len(data))

    async def is_silent(self) -> bool:
        try:
            async with asyncio.timeout(0.1):
                await self.reader.readexactly(1)
        except TimeoutError:
            return True
        return False


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write(b"the end")
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    yield proxy
    await proxy.aclose()
    server.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def connect(proxy: Proxy) -> AsyncIterator[Connect]:
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()


async def test_passes_everything_on_both_ways(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    data = bytes(range(256)) * 4096
    assert await client.say(data) == data
    client.writer.write_eof()
    assert await client.reader.read() == b"the end"


async def test_a_connection_that_both_sides_ended_is_not_held(
    proxy: Proxy, connect: Connect
) -> None:
    for _ in range(3):
        client = await connect()
        client.writer.write_eof()
        assert await client.reader.read() == b"the end"
    await until(lambda: not proxy.ends)


async def test_what_follows_a_half_close_is_swallowed(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    await client.say(b"before")
    proxy.half_close()
    client.writer.write(b"after")
    await until(lambda: proxy.swallowed == len(b"after"))
    assert await client.reader.read() == b""
    client.writer.close()
    await until(lambda: not proxy.ends)


async def test_a_cut_resets_connections_and_takes_new_ones(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    await client.say(b"before")
    proxy.cut()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.say(b"after")
    assert await (await connect()).say(b"anew") == b"anew"


async def test_refuses_until_it_is_open_again(proxy: Proxy, connect: Connect) -> None:
    proxy.refuse()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await (await connect()).say(b"no")
    proxy.open()
    assert await (await connect()).say(b"yes") == b"yes"


async def test_what_was_stalled_arrives_late(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    await client.say(b"before")
    proxy.stall()
    late = await connect()
    client.writer.write(b"during")
    late.writer.write(b"too")
    assert await client.is_silent()
    assert await late.is_silent()
    proxy.open()
    assert await client.reader.readexactly(6) == b"during"
    assert await late.reader.readexactly(3) == b"too"


async def test_what_was_swallowed_never_arrives(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    await client.say(b"before")
    proxy.swallow()
    client.writer.write(b"during")
    assert await client.is_silent()
    assert proxy.swallowed == len(b"during")
    proxy.open()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.reader.readexactly(1)


async def test_latency_keeps_the_order(proxy: Proxy, connect: Connect) -> None:
    proxy.latency_s = 0.05
    client = await connect()
    clock = asyncio.get_running_loop().time
    start = clock()
    for number in range(10):
        client.writer.write(bytes([number]))
        await asyncio.sleep(0.001)
    assert await client.reader.readexactly(10) == bytes(range(10))
    assert clock() - start >= 2 * proxy.latency_s


async def test_what_was_delayed_is_not_overtaken(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    await client.say(b"before")
    proxy.latency_s = 0.05
    client.writer.write(b"slow ")
    await asyncio.sleep(0.01)
    proxy.latency_s = 0.0
    client.writer.write(b"quick")
    assert await client.reader.readexactly(10) == b"slow quick"


async def test_what_is_due_is_not_overtaken_while_the_loop_is_late(
    proxy: Proxy, connect: Connect
) -> None:
    client = await connect()
    await client.say(b"before")
    proxy.latency_s = 0.02
    client.writer.write(b"slow ")
    await asyncio.sleep(0.01)
    proxy.latency_s = 0.0
    client.writer.write(b"quick")
    # The loop comes back with both: bytes to read, and a timer that is due.
    asyncio.get_running_loop().call_soon(time.sleep, 0.05)
    assert await client.reader.readexactly(10) == b"slow quick"


async def test_a_half_closed_connection_still_listens(proxy: Proxy, connect: Connect) -> None:
    client = await connect()
    await client.say(b"before")
    proxy.half_close()
    assert await client.reader.read() == b""
    client.writer.write(b"still here")
    await client.writer.drain()
