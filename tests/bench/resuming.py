"""A reader that comes back to an answer with the id of the last event it saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from tests.bench.doors import (
    CONVERSATIONS,
    SOCKET_PATH,
    Happening,
    bearer,
    call,
    decode_frames,
    decode_sse,
    is_last_frame,
)
from tests.bench.frames import SocketLine, encode_frame
from tests.bench.wire import (
    IsEnd,
    Line,
    Received,
    body_pieces,
    encode_request,
    is_response_end,
    status_and_body,
)


@dataclass(frozen=True, slots=True)
class Place:
    """An answer that is being written, and whose it is."""

    url: str
    token: str
    generation_id: str


async def begin_answer(url: str, token: str, content: str) -> Place:
    """Ask in a new conversation and leave the answer to itself. Raises Refused."""
    line = await Line(url).open()
    headers = bearer(token)
    try:
        created = await call(line, CONVERSATIONS, headers=headers, body={})
        path = f"{CONVERSATIONS}/{created['conversationId']}/messages"
        headers["accept"] = "application/json"
        accepted = await call(line, path, headers=headers, body={"content": content})
    finally:
        line.close()
    return Place(url, token, str(accepted["generationId"]))


class SseReader:
    """One connection of a reader over HTTP, from connecting to whatever ends it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._line = Line(place.url)
        self._received = Received(0.0)

    async def resume(self, after: str, is_end: IsEnd | None = None) -> None:
        """Connect and ask for what follows a cursor; it arrives while others work."""
        await self._line.open()
        path = f"/api/v1/generations/{self._place.generation_id}/events"
        headers = bearer(self._place.token)
        if after:
            headers["last-event-id"] = after
        request = encode_request(self._line, "GET", path, headers=headers)
        self._received = self._line.send(request, is_end or is_response_end())

    async def ended(self) -> None:
        await self._line.ended()

    def happenings(self) -> Iterator[Happening]:
        if status_and_body(self._received)[0] != 200:
            return iter(())
        return decode_sse(body_pieces(self._received))

    def close(self) -> None:
        self._line.close()


class SocketReader:
    """One connection of a reader by WebSocket."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._line = SocketLine(place.url, SOCKET_PATH, bearer(place.token))
        self._received = Received(0.0)

    async def resume(self, after: str, is_end: IsEnd | None = None) -> None:
        """Connect and ask for what follows a cursor. Raises HandshakeRefused."""
        await self._line.shake_hands()
        frame = {"type": "resume", "generationId": self._place.generation_id, "after": after}
        request = encode_frame(orjson.dumps(frame))
        self._received = self._line.send(request, is_end or is_last_frame)

    async def ended(self) -> None:
        await self._line.ended()

    def happenings(self) -> Iterator[Happening]:
        return decode_frames(self._received.pieces)

    def close(self) -> None:
        self._line.close()


Reader = SseReader | SocketReader
READERS: dict[str, type[Reader]] = {"sse": SseReader, "websocket": SocketReader}


def shows_event(piece: bytes) -> bool:
    """Say whether an event of an answer's text has come; what precedes it is only the opening."""
    return b"event: delta" in piece or b'"type":"delta"' in piece
