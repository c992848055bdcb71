"""One person's browser in the benchmark: a message, by one of the doors, and its answer timed."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter
from typing import Protocol

import aiohttp

from tests.bench.timing import QUESTION, Timing
from tests.sse import TERMINAL, read_frames


class Door(Protocol):
    async def ask(self) -> Timing:
        """Send one message and return when its answer came."""

    async def aclose(self) -> None: ...


def new_session(headers: dict[str, str] | None = None) -> aiohttp.ClientSession:
    """A client that keeps its connection, as a browser does."""
    timeout = aiohttp.ClientTimeout(total=120)
    return aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False)


async def open_conversation(session: aiohttp.ClientSession, url: str) -> str:
    async with session.post(f"{url}/api/v1/conversations", json={}) as response:
        response.raise_for_status()
        return str((await response.json())["conversationId"])


class SseDoor:
    def __init__(self, session: aiohttp.ClientSession, url: str, conversation_id: str) -> None:
        self._session = session
        self._address = f"{url}/api/v1/conversations/{conversation_id}/messages"

    async def ask(self) -> Timing:
        timing = Timing()
        sent = perf_counter()
        async with self._session.post(self._address, json={"content": QUESTION}) as response:
            response.raise_for_status()
            async for frame in read_frames(response.content.iter_any()):
                timing.note(perf_counter() - sent, frame.event, frame.data)
        return timing

    async def aclose(self) -> None:
        await self._session.close()


class SocketDoor:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        conversation_id: str,
    ) -> None:
        self._session = session
        self._socket = socket
        self._conversation_id = conversation_id

    async def ask(self) -> Timing:
        timing = Timing()
        frame = {"type": "send", "conversationId": self._conversation_id, "content": QUESTION}
        sent = perf_counter()
        await self._socket.send_str(json.dumps(frame))
        while not timing.end:
            received = json.loads(await self._socket.receive_str())
            at_s = perf_counter() - sent
            if received["type"] == "error":
                raise RuntimeError(received["error"]["message"])
            # What tells of other devices, and the receipt, are not events of the answer.
            if received["type"] in {"queued", "started", "delta", "snapshot", *TERMINAL}:
                timing.note(at_s, received["type"], received)
        return timing

    async def aclose(self) -> None:
        await self._socket.close()
        await self._session.close()


async def open_door(kind: str, url: str, token: str) -> Door:
    """Return a door of the product, with a new conversation behind it."""
    session = new_session({"Authorization": f"Bearer {token}"})
    conversation_id = await open_conversation(session, url)
    if kind == "sse":
        return SseDoor(session, url, conversation_id)
    socket = await session.ws_connect(f"{url.replace('http', 'ws', 1)}/ws/chat/", origin=url)
    return SocketDoor(session, socket, conversation_id)


class ProviderDoor:
    """The model's provider without the product between: what the product is compared to."""

    def __init__(self, url: str) -> None:
        self._session = new_session()
        self._url = url

    async def first_token_s(self) -> float:
        """Return how long the provider itself takes to its first token, on a warm connection."""
        async with self._session.get(f"{self._url}/health") as response:
            await response.read()
        body = {
            "model": "direct",
            "max_tokens": 1000,
            "stream": True,
            "messages": [{"role": "user", "content": QUESTION}],
        }
        sent = perf_counter()
        async with self._session.post(f"{self._url}/v1/messages", json=body) as response:
            response.raise_for_status()
            async with aclosing(_provider_events(response)) as events:
                async for event in events:
                    if event == "content_block_delta":
                        return perf_counter() - sent
        raise RuntimeError("The provider sent no token.")

    async def aclose(self) -> None:
        await self._session.close()


async def _provider_events(response: aiohttp.ClientResponse) -> AsyncGenerator[str]:
    async for line in response.content:
        if line.startswith(b"event: "):
            yield line[7:].decode().strip()
