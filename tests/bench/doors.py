"""The doors of the product and of the relay, as the light client uses them under load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from tests.bench.frames import BINARY, SocketLine, encode_frame
from tests.bench.timing import QUESTION, Timing
from tests.bench.wire import (
    Line,
    Received,
    body_pieces,
    encode_request,
    is_response_end,
    status_and_body,
)
from tests.sse import TERMINAL

ANSWER_EVENTS = {"queued", "started", "delta", "snapshot", *TERMINAL}
# Text cannot look like this: its quotes are escaped.
_LAST_FRAMES = tuple(b'"type":"%b"' % name.encode() for name in (*sorted(TERMINAL), "error"))
PROVIDER_BODY = orjson.dumps(
    {
        "model": "direct",
        "max_tokens": 1000,
        "stream": True,
        "messages": [{"role": "user", "content": QUESTION}],
    }
)


CONVERSATIONS = "/api/v1/conversations"
SOCKET_PATH = "/ws/chat/"


class Refused(Exception):
    """What a benchmark needs before it starts was refused."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event as it reached the client."""

    at: float
    id: str
    event: str
    data: Any


class Door(Protocol):
    async def get_ready(self) -> None:
        """Have a connection, as a browser has when somebody presses Enter."""

    async def ask(self) -> Received: ...

    def happenings(self, received: Received) -> Iterator[Happening]: ...

    def close(self) -> None: ...


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def decode_sse(pieces: Iterable[tuple[float, bytes]]) -> Iterator[Happening]:
    buffer = b""
    for at, piece in pieces:
        *blocks, buffer = (buffer + piece).split(b"\n\n")
        for block in blocks:
            lines = [line for line in block.split(b"\n") if not line.startswith(b":")]
            fields = dict(line.split(b": ", 1) for line in lines if line)
            if fields:
                name, data = fields[b"event"].decode(), orjson.loads(fields[b"data"])
                yield Happening(at, fields.get(b"id", b"").decode(), name, data)


def decode_frames(pieces: Iterable[tuple[float, bytes]]) -> Iterator[Happening]:
    for at, payload in pieces:
        data = orjson.loads(payload)
        if data["type"] in ANSWER_EVENTS:
            yield Happening(at, data.get("id", ""), data["type"], data)
        elif data["type"] == "error":
            yield Happening(at, "", "failed", data)


def in_our_words(happenings: Iterable[Happening]) -> Iterator[Happening]:
    """Yield what a provider's own events mean in the product's."""
    for one in happenings:
        if one.event == "content_block_delta":
            yield Happening(one.at, "", "delta", {"text": one.data["delta"]["text"]})
        elif one.event == "message_stop":
            yield Happening(one.at, "", "done", {})


def is_last_frame(payload: bytes) -> bool:
    return any(mark in payload for mark in _LAST_FRAMES)


def as_timing(received: Received, happenings: Iterable[Happening]) -> Timing:
    timing = Timing()
    for one in happenings:
        timing.note(one.at - received.sent_at, one.event, one.data)
    return timing


async def call(line: Line, path: str, *, headers: Mapping[str, str], body: Any) -> Any:
    """Return what a POST of JSON is answered with. Raises Refused."""
    request = encode_request(line, "POST", path, headers=headers, body=orjson.dumps(body))
    status, answer = status_and_body(await line.exchange(request, is_response_end()))
    if not 200 <= status < 300:
        raise Refused(f"{status} {answer[:200]!r}")
    return orjson.loads(answer)


class SseDoor:
    def __init__(self, url: str, token: str) -> None:
        self._line = Line(url)
        self._headers = bearer(token)
        self._request = b""

    async def open_conversation(self) -> str:
        """Ask in a new conversation from now on, and return its id. Raises Refused."""
        await self._line.open()
        created = await call(self._line, CONVERSATIONS, headers=self._headers, body={})
        conversation_id = str(created["conversationId"])
        self._request = encode_request(
            self._line,
            "POST",
            f"{CONVERSATIONS}/{conversation_id}/messages",
            headers={**self._headers, "accept": "text/event-stream"},
            body=orjson.dumps({"content": QUESTION}),
        )
        return conversation_id

    async def get_ready(self) -> None:
        await self._line.open()

    async def ask(self) -> Received:
        return await self._line.exchange(self._request, is_response_end())

    def happenings(self, received: Received) -> Iterator[Happening]:
        status, _ = status_and_body(received)
        return decode_sse(body_pieces(received)) if status == 200 else iter(())

    def close(self) -> None:
        self._line.close()


class SocketDoor:
    def __init__(self, url: str, token: str, conversation_id: str) -> None:
        self._line = SocketLine(url, SOCKET_PATH, bearer(token))
        self._request = b""
        self.turn_to(conversation_id)

    def turn_to(self, conversation_id: str) -> None:
        """Ask in this conversation from now on."""
        frame = {"type": "send", "conversationId": conversation_id, "content": QUESTION}
        self._request = encode_frame(orjson.dumps(frame))

    async def get_ready(self) -> None:
        if not self._line.is_open:
            await self._line.shake_hands()

    async def ask(self) -> Received:
        return await self._line.exchange(self._request, is_last_frame)

    def happenings(self, received: Received) -> Iterator[Happening]:
        return decode_frames(received.pieces)

    def close(self) -> None:
        self._line.close()


class PlainDoor:
    """The provider itself, or the relay's HTTP door, which speaks as the provider does."""

    def __init__(self, url: str, body: bytes = PROVIDER_BODY) -> None:
        self._line = Line(url)
        self._request = encode_request(self._line, "POST", "/v1/messages", headers={}, body=body)

    async def get_ready(self) -> None:
        await self._line.open()

    async def ask(self) -> Received:
        return await self._line.exchange(self._request, is_response_end())

    def happenings(self, received: Received) -> Iterator[Happening]:
        return in_our_words(decode_sse(body_pieces(received)))

    def close(self) -> None:
        self._line.close()


class RelaySocketDoor:
    def __init__(self, url: str) -> None:
        self._line = SocketLine(url, "/ws", {})
        self._request = encode_frame(PROVIDER_BODY, BINARY)

    async def get_ready(self) -> None:
        if not self._line.is_open:
            await self._line.shake_hands()

    async def ask(self) -> Received:
        return await self._line.exchange(self._request, lambda payload: not payload)

    def happenings(self, received: Received) -> Iterator[Happening]:
        return in_our_words(decode_sse(received.pieces))

    def close(self) -> None:
        self._line.close()


async def open_door(kind: str, url: str, token: str) -> Door:
    """Return a door, ready to be asked. Raises Refused."""
    door: Door
    if kind in {"sse", "websocket"}:
        door = opened = SseDoor(url, token)
        conversation_id = await opened.open_conversation()
        if kind == "websocket":
            opened.close()
            door = SocketDoor(url, token, conversation_id)
    elif kind == "relay-sse":
        door = PlainDoor(url)
    else:
        door = RelaySocketDoor(url)
    await door.get_ready()
    return door
