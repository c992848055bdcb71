"""A socket of the chat, as a page or a program holds it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.testing import WebsocketCommunicator

from chatbot.asgi import application

TERMINAL = {"done", "stopped", "halted", "failed"}
# A wait without end is longer than this, on the busiest machine.
PATIENCE_S = 30


class Socket:
    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self._communicator = communicator

    async def send(self, **frame: Any) -> None:
        await self._communicator.send_to(text_data=json.dumps(frame))

    async def send_raw(self, text: str) -> None:
        await self._communicator.send_to(text_data=text)

    async def receive(self, *kinds: str) -> dict[str, Any]:
        """Return the next frame of one of these types; others are passed over."""
        while True:
            frame: dict[str, Any] = json.loads(
                await self._communicator.receive_from(timeout=PATIENCE_S)
            )
            if not kinds or frame["type"] in kinds:
                return frame

    async def closed(self) -> int:
        """Return the code that the server closed this socket with; pings are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            output = await self._communicator.receive_output(timeout=PATIENCE_S)
            while output.get("text") == '{"type":"ping"}':
                output = await self._communicator.receive_output(timeout=PATIENCE_S)
        assert output["type"] == "websocket.close"
        return int(output["code"])

    async def read_answer(self) -> list[dict[str, Any]]:
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1]["type"] not in TERMINAL:
            frames.append(await self.receive("started", "delta", "snapshot", *TERMINAL))
        return frames


@asynccontextmanager
async def open_socket(token: str | None) -> AsyncIterator[Socket]:
    headers = [(b"origin", b"http://testserver"), (b"host", b"testserver")]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    communicator = WebsocketCommunicator(application, "/ws/chat/", headers=headers)
    connected, _ = await communicator.connect(timeout=PATIENCE_S)
    assert connected
    try:
        yield Socket(communicator)
    finally:
        await communicator.disconnect()


def text_of(frames: list[dict[str, Any]]) -> str:
    text = ""
    for frame in frames:
        if frame["type"] == "snapshot":
            text = frame["text"]
        elif frame["type"] == "delta":
            text += frame["text"]
    return text
