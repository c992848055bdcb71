"""The ways into the product, as a client that keeps a record of everything uses them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from tests.faults.record import Connection, Life, Seen, parse_id
from tests.sse import TERMINAL, read_frames

EVENTS = {"queued", "started", "delta", "snapshot", *TERMINAL}
# A client tries again after these; everything else is a fault of the product or of the client.
PASSING_STATUSES = {429, 503}
# A WebSocket that does not open says no more than that, to a browser; and a server that ends says
# "Internal Server Error" to whom it cannot serve any more.
PASSING_CODES = {"busy", "unavailable", "rate_limited", "handshake", "Internal Server Error"}
CLOSES_WITHIN_S = 10.0
REPLY_S = 10.0
CONNECT = aiohttp.ClientTimeout(total=None, sock_connect=5)


class Away(Exception):
    """Nobody answered, or the connection was lost: try again, anywhere."""


class Refused(Exception):
    """The product said no."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error.get('code')}")
        self.status = status
        self.code = str(error.get("code"))
        self.detail: dict[str, Any] = error.get("detail") or {}

    @property
    def is_passing(self) -> bool:
        return self.status in PASSING_STATUSES or self.code in PASSING_CODES


@dataclass(frozen=True, slots=True)
class Leave:
    """When a reader goes away: after so many events, or after a while."""

    after_events: int
    after_s: float


class Stream(Protocol):
    """An open connection that brings the events of one generation."""

    generation_id: str

    async def read(self, life: Life, connection: Connection, leave: Leave | None) -> None:
        """Apply what comes until the end, a fault, or leaving; `connection.end` says which."""

    async def aclose(self) -> None: ...


class SseStream:
    def __init__(self, response: aiohttp.ClientResponse, generation_id: str) -> None:
        self._response = response
        self.generation_id = generation_id

    async def read(self, life: Life, connection: Connection, leave: Leave | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with (
                asyncio.timeout(leave.after_s if leave else None) as patience,
                aclosing(read_frames(self._response.content.iter_any())) as frames,
            ):
                async for frame in frames:
                    life.apply(Seen(parse_id(frame.id), frame.event, frame.data))
                    if life.is_over:
                        # What follows, if anything does, is recorded; the server closes.
                        patience.reschedule(loop.time() + CLOSES_WITHIN_S)
                    elif leave and len(connection.events) > leave.after_events:
                        connection.end = "left"
                        return
            connection.end = "closed"
        except TimeoutError:
            connection.end = "left open" if life.is_over else "left"
        except (aiohttp.ClientError, OSError) as exc:
            connection.end = f"cut: {type(exc).__name__}"

    async def aclose(self) -> None:
        self._response.close()


class SocketStream:
    """A WebSocket; it was told to send or to resume before it is read."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, generation_id: str) -> None:
        self._socket = socket
        self.generation_id = generation_id

    async def read(self, life: Life, connection: Connection, leave: Leave | None) -> None:
        try:
            async with (
                asyncio.timeout(leave.after_s if leave else None),
                aclosing(socket_frames(self._socket)) as frames,
            ):
                async for frame in frames:
                    if frame.get("generationId") != self.generation_id:
                        continue
                    if frame["type"] == "error":
                        connection.end = f"refused: {frame['error']['code']}"
                        return
                    if frame["type"] not in EVENTS:
                        continue
                    life.apply(Seen(parse_id(frame["id"]), frame["type"], frame))
                    if life.is_over:
                        connection.end = "over"
                        return
                    if leave and len(connection.events) > leave.after_events:
                        connection.end = "left"
                        return
            connection.end = f"closed: {self._socket.close_code}"
        except TimeoutError:
            connection.end = "left"
        except (aiohttp.ClientError, OSError) as exc:
            connection.end = f"cut: {type(exc).__name__}"

    async def aclose(self) -> None:
        # Not the closing handshake: a page that goes away does not wait for an answer.
        if self._socket._response.connection is not None:
            self._socket._response.close()


async def socket_frames(
    socket: aiohttp.ClientWebSocketResponse,
) -> AsyncGenerator[dict[str, Any]]:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            yield json.loads(message.data)


class Client:
    """One person's client: every call is one try. Raises Away or Refused."""

    def __init__(
        self, session: aiohttp.ClientSession, urls: list[str], headers: dict[str, str]
    ) -> None:
        self._session = session
        self._urls = urls
        self._headers = headers

    async def resume(self, door: str, web: int, generation_id: str, after: str) -> Stream | None:
        """Open the events after a cursor; None when there is nothing more."""
        if door == "websocket":
            socket = await self._open_socket(web)
            frame = {"type": "resume", "generationId": generation_id, "after": after}
            await self._say(socket, frame)
            return SocketStream(socket, generation_id)
        headers = {**self._headers, "Last-Event-ID": after}
        address = f"{self._url(web)}/api/v1/generations/{generation_id}/events"
        response = await self._request("GET", address, headers=headers)
        if response.status == 204:
            response.close()
            return None
        return SseStream(response, generation_id)

    async def send(
        self, door: str, web: int, conversation_id: str, content: str, model: str, key: str
    ) -> tuple[str, Stream | None]:
        """Send a message; return the generation's id, and its stream if the door has one."""
        if door == "websocket":
            return await self._send_frame(web, conversation_id, content, model, key)
        accept = "application/json" if door == "json" else "text/event-stream"
        headers = {**self._headers, "Accept": accept, "Idempotency-Key": key}
        address = f"{self._url(web)}/api/v1/conversations/{conversation_id}/messages"
        body = {"content": content, "model": model}
        response = await self._request("POST", address, headers=headers, json=body)
        if response.status == 202:
            try:
                return str((await self._body(response))["generationId"]), None
            finally:
                response.close()
        generation_id = response.headers.get("X-Generation-Id", "")
        return generation_id, SseStream(response, generation_id)

    async def stop(self, web: int, generation_id: str) -> None:
        address = f"{self._url(web)}/api/v1/generations/{generation_id}/stop"
        response = await self._request("POST", address, headers=self._headers)
        response.close()

    def _url(self, web: int) -> str:
        return self._urls[web % len(self._urls)]

    async def _request(self, method: str, address: str, **options: Any) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(REPLY_S):
                response = await self._session.request(method, address, timeout=CONNECT, **options)
        except (aiohttp.ClientError, OSError) as exc:
            raise Away from exc
        if response.status < 400:
            return response
        try:
            error = (await self._body(response)).get("error", {})
        finally:
            response.close()
        raise Refused(response.status, error)

    async def _body(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        try:
            async with asyncio.timeout(REPLY_S):
                text = await response.text()
        except (aiohttp.ClientError, OSError) as exc:
            raise Away from exc
        try:
            body: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError:
            return {"error": {"code": text[:80]}}
        return body

    async def _open_socket(self, web: int) -> aiohttp.ClientWebSocketResponse:
        address = f"{self._url(web)}/ws/chat/".replace("http", "ws", 1)
        try:
            async with asyncio.timeout(REPLY_S):
                return await self._session.ws_connect(
                    address, headers=self._headers, compress=0, timeout=SOCKET_TIMEOUT
                )
        except aiohttp.WSServerHandshakeError as exc:
            raise Refused(exc.status, {"code": "handshake"}) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise Away from exc

    async def _say(self, socket: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        try:
            await socket.send_str(json.dumps(frame))
        except (aiohttp.ClientError, OSError) as exc:
            raise Away from exc

    async def _send_frame(
        self, web: int, conversation_id: str, content: str, model: str, key: str
    ) -> tuple[str, Stream | None]:
        socket = await self._open_socket(web)
        try:
            await self._say(
                socket,
                {
                    "type": "send",
                    "conversationId": conversation_id,
                    "content": content,
                    "model": model,
                    "clientId": key,
                },
            )
            generation_id = await self._wait_until_accepted(socket, key)
        except BaseException:
            await SocketStream(socket, "").aclose()
            raise
        return generation_id, SocketStream(socket, generation_id)

    async def _wait_until_accepted(self, socket: aiohttp.ClientWebSocketResponse, key: str) -> str:
        try:
            async with asyncio.timeout(REPLY_S), aclosing(socket_frames(socket)) as frames:
                async for frame in frames:
                    if frame.get("clientId") != key:
                        continue
                    if frame["type"] == "error":
                        raise Refused(0, frame["error"])
                    return str(frame["generationId"])
        except (aiohttp.ClientError, OSError) as exc:
            raise Away from exc
        raise Away


SOCKET_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=1.0)
