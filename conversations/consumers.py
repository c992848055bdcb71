"""The WebSocket door: the frames of `conversations.events`, parsed, authorised, passed on.

Handlers return at once; each followed generation is a task that this connection owns. A
connection follows as many generations as a person keeps open, and no more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, aclosing, suppress
from typing import Any
from uuid import UUID

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from pydantic import ValidationError
from redis.exceptions import RedisError

from chatbot.accounts.auth import Suspended, authenticate_socket
from chatbot.accounts.models import User
from chatbot.core.db import DatabaseAway
from chatbot.core.errors import (
    BadRequest,
    ChatError,
    Conflict,
    Forbidden,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from chatbot.core.stores import RETRY_AFTER_S
from chatbot.core.tasks import spawn
from conversations.events import (
    Event,
    RegenerateRequest,
    SendRequest,
    SocketRegenerate,
    SocketResume,
    SocketSend,
    SocketStop,
    parse_cursor,
)
from conversations.notices import group_of
from conversations.queries import GenerationNotFound
from conversations.reading import HEARTBEAT_S, Reading, open_reading, read_turn
from conversations.suspending import watch
from conversations.turns import StartedTurn, regenerate_answer, start_turn, stop_generation

logger = logging.getLogger(__name__)

# WebSocket close codes 4000 to 4999 are for applications (RFC 6455, section 7.4.2).
CLOSE_UNAUTHENTICATED = 4401
CLOSE_FORBIDDEN = 4403
# For a server that cannot serve at the moment (IANA's registry of close codes).
CLOSE_TRY_AGAIN_LATER = 1013
MAX_FOLLOWED = 16
MAX_PENDING_FRAMES = 64


class TooManyStreams(Conflict):
    code = "too_many_streams"
    sentence = "This connection already follows as many answers as it may."


class InvalidFrame(BadRequest):
    code = "invalid_frame"
    sentence = "The frame could not be understood."


class ChatConsumer(AsyncWebsocketConsumer):
    user: User

    async def connect(self) -> None:
        self._followers: dict[UUID, asyncio.Task[None]] = {}
        self._frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_PENDING_FRAMES)
        self._work: list[asyncio.Task[Any]] = []
        self._watches = ExitStack()
        try:
            await self._authenticate(counts=True)
        except (ChatError, *DatabaseAway) as exc:
            # Accepted first: a browser cannot read why a handshake was refused.
            await self.accept()
            if isinstance(exc, RateLimited):
                await self._send_error(exc, {})
            await self._turn_away(exc)
            return
        await self.channel_layer.group_add(group_of(self.user.pk), self.channel_name)
        await self.accept()
        self._work = [
            spawn(self._answer_frames(), name="socket frames"),
            spawn(self._beat(), name="socket heartbeat"),
        ]
        self._watches.enter_context(watch(self.user.pk, self._look_again))

    async def disconnect(self, code: int) -> None:
        self._watches.close()
        for task in (*self._work, *self._followers.values()):
            task.cancel()
        if self._work:
            await self.channel_layer.group_discard(group_of(self.user.pk), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self._work:
            return
        try:
            self._frames.put_nowait(_parse_frame(text_data))
        except asyncio.QueueFull:
            await self._send_error(RateLimited("Too many frames at once."), {})
        except ChatError as exc:
            await self._send_error(exc, {})

    async def _authenticate(self, *, counts: bool) -> None:
        """Find out who this is now; what `counts` is a request, which sends are not."""
        self.user = await authenticate_socket(
            list(self.scope["headers"]), self.scope.get("session"), counts=counts
        )

    async def _turn_away(self, exc: Exception) -> None:
        if isinstance(exc, (*DatabaseAway, RateLimited)):
            # Who asks is not known, or asks too often; a client that tries again will be served.
            await self.close(CLOSE_TRY_AGAIN_LATER)
        elif isinstance(exc, Forbidden):
            await self.close(CLOSE_FORBIDDEN)
        else:
            await self.close(CLOSE_UNAUTHENTICATED)

    async def notice(self, message: dict[str, Any]) -> None:
        """Pass on what changed on another device (called by the channel layer)."""
        await self._send_frame(message["frame"])

    async def notices_missed(self, message: dict[str, Any]) -> None:
        """Say that notices were dropped, as too many waited (called by the channel layer)."""
        await self._send_frame({"type": message["type"]})

    async def _answer_frames(self) -> None:
        """Take frames one after another, in their order, without holding up the connection."""
        doors: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "send": self._on_send,
            "regenerate": self._on_regenerate,
            "resume": self._on_resume,
            "stop": self._on_stop,
            "ping": self._on_ping,
        }
        while True:
            frame = await self._frames.get()
            kind = frame.pop("type", None)
            try:
                if not isinstance(kind, str) or kind not in doors:
                    raise InvalidFrame("The type of the frame is not one this service knows.")
                if kind != "ping":
                    await self._authenticate(counts=kind not in {"send", "regenerate"})
                await doors[kind](frame)
            except ValidationError as exc:
                await self._send_error(_invalid(exc), frame)
            except (Unauthenticated, Suspended) as exc:
                await self._send_error(exc, frame)
                await self._turn_away(exc)
            except ChatError as exc:
                await self._send_error(exc, frame)
            except (*DatabaseAway, RedisError) as exc:
                logger.warning("A store did not answer a frame: %s", type(exc).__name__)
                await self._send_error(Unavailable(retry_after_s=RETRY_AFTER_S), frame)
            except Exception:
                logger.exception("A socket frame failed")
                await self._send_error(ChatError(), frame)

    async def _on_send(self, frame: dict[str, Any]) -> None:
        asked = SocketSend.model_validate(frame)
        request = SendRequest.model_construct(
            asked.model_fields_set & SendRequest.model_fields.keys(),
            content=asked.content,
            model=asked.model,
            parent_seq=asked.parent_seq,
        )
        turn = await start_turn(
            self.user, asked.conversation_id, request, idempotency_key=asked.client_id
        )
        await self._accepted(turn, asked.client_id)

    async def _on_regenerate(self, frame: dict[str, Any]) -> None:
        asked = SocketRegenerate.model_validate(frame)
        turn = await regenerate_answer(
            self.user,
            asked.conversation_id,
            asked.seq,
            RegenerateRequest(model=asked.model),
            idempotency_key=asked.client_id,
        )
        await self._accepted(turn, asked.client_id)

    async def _accepted(self, turn: StartedTurn, client_id: str | None) -> None:
        await self._send_frame(
            {
                "type": "accepted",
                "generationId": str(turn.generation_id),
                "messageId": str(turn.message_id),
                "clientId": client_id,
                "rateLimitRemaining": turn.rate.tightest.remaining,
            }
        )
        self._follow(await read_turn(self.user, turn))

    async def _on_resume(self, frame: dict[str, Any]) -> None:
        asked = SocketResume.model_validate(frame)
        reading = await open_reading(self.user, asked.generation_id, parse_cursor(asked.after))
        self._follow(reading)
        if reading.is_over:
            # What 204 says over HTTP; without it the client would wait for more.
            await self._send_over(reading.generation_id)

    async def _on_stop(self, frame: dict[str, Any]) -> None:
        await stop_generation(self.user, SocketStop.model_validate(frame).generation_id)

    async def _on_ping(self, frame: dict[str, Any]) -> None:
        await self._send_frame({"type": "pong"})

    def _follow(self, reading: Reading) -> None:
        """Start following, in place of an earlier follower of the same generation."""
        earlier = self._followers.pop(reading.generation_id, None)
        if earlier is not None:
            earlier.cancel()
        if reading.is_over:
            return
        if len(self._followers) >= MAX_FOLLOWED:
            raise TooManyStreams
        task = spawn(self._pass_on(reading), name=f"socket follows {reading.generation_id}")
        self._followers[reading.generation_id] = task
        task.add_done_callback(lambda done: self._forget(reading.generation_id, done))

    def _forget(self, generation_id: UUID, task: asyncio.Task[None]) -> None:
        if self._followers.get(generation_id) is task:
            del self._followers[generation_id]

    async def _pass_on(self, reading: Reading) -> None:
        """Send what is read, to the terminal event; without one, say why nothing more comes.

        The connection stays open, so that nothing else would tell the client to read again.
        """
        event: Event | None = None
        try:
            async with aclosing(reading.batches()) as batches:
                async for batch in batches:
                    for event in batch:
                        await self._send_frame(_event_frame(reading.generation_id, event))
            if event is None or not event.is_terminal:
                await self._break_off(reading.generation_id)
        except Exception:
            await self._send_error(ChatError(), {"generationId": str(reading.generation_id)})
            raise

    async def _break_off(self, generation_id: UUID) -> None:
        """Tell a reader whose answer broke off whether it is gone, or to come again."""
        try:
            await open_reading(self.user, generation_id)
        except GenerationNotFound:
            await self._send_over(generation_id)
            return
        except DatabaseAway:
            logger.warning("Generation %s could not be read to its end", generation_id)
        again = Unavailable(retry_after_s=RETRY_AFTER_S)
        await self._send_error(again, {"generationId": str(generation_id)})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if not await self._is_welcome():
                return
            await self._send_frame({"type": "ping"})

    async def _is_welcome(self) -> bool:
        """Find out whether this person may still be here, and turn them away if not."""
        try:
            await self._authenticate(counts=False)
        except ChatError as exc:
            if isinstance(exc, Suspended):
                await self._send_error(exc, {})
            await self._turn_away(exc)
            return False
        except DatabaseAway:
            # Nothing new can be read now, and what is being followed goes on.
            logger.debug("Who a socket belongs to could not be looked up again")
        return True

    def _look_again(self) -> None:
        """Called when this person may have been suspended."""
        self._work.append(spawn(self._is_welcome(), name="socket standing"))

    async def _send_frame(self, frame: dict[str, Any]) -> None:
        # A client that has just left: `disconnect` comes next, and ends what is done for it.
        with suppress(OSError):
            await self.send(text_data=orjson.dumps(frame).decode())

    async def _send_over(self, generation_id: UUID) -> None:
        await self._send_frame({"type": "over", "generationId": str(generation_id)})

    async def _send_error(self, exc: ChatError, frame: dict[str, Any]) -> None:
        """Say what failed; what identifies it in `frame` is sent along with the error."""
        echo = {
            name: frame[name]
            for name in ("clientId", "generationId", "conversationId")
            if isinstance(frame.get(name), str) and len(frame[name]) <= 200
        }
        await self._send_frame({"type": "error", **echo, "error": exc.body()})


class NowhereConsumer(AsyncWebsocketConsumer):
    """Refuses a WebSocket on an address that has none; the handshake is answered with 403."""

    async def connect(self) -> None:
        await self.close()


def _parse_frame(text: str | None) -> dict[str, Any]:
    if text is None:
        raise InvalidFrame("Frames are text.")
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise InvalidFrame("The frame is not JSON.") from exc
    if not isinstance(frame, dict):
        raise InvalidFrame("A frame is a JSON object.")
    return frame


def _invalid(exc: ValidationError) -> InvalidFrame:
    first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return InvalidFrame(f"{where}: {first['msg']}." if where else f"{first['msg']}.")


def _event_frame(generation_id: UUID, event: Event) -> dict[str, Any]:
    return {
        **event.data,
        "type": event.type,
        "id": str(event.cursor),
        "generationId": str(generation_id),
    }
