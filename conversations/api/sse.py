"""Server-sent events with ids, so that a reader can resume (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

import orjson
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from chatbot.core.db import DatabaseAway
from chatbot.core.errors import ChatError
from conversations.events import Event
from conversations.reading import Reading
from conversations.suspending import Watch, find_refusal, watch

HEARTBEAT = b": still here\n\n"


def encode_event(event: Event) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        str(event.cursor).encode(),
        event.type.encode(),
        orjson.dumps(event.data),
    )


def encode_refusal(exc: ChatError) -> bytes:
    """Return what ends a stream that its person may not read on; it has no place in the log."""
    return b"event: refused\ndata: %b\n\n" % orjson.dumps({"error": exc.body()})


async def _refusal(watching: Watch, user_id: UUID) -> ChatError | None:
    try:
        return await find_refusal(user_id)
    except DatabaseAway:
        # Asked again before the next piece.
        watching.is_rung = True
        return None


async def _frames(reading: Reading, user_id: UUID) -> AsyncGenerator[bytes]:
    # Bytes at once: proxies and browsers open the stream before the first event.
    yield HEARTBEAT
    with watch(user_id) as watching:
        async with aclosing(reading.batches()) as batches:
            async for batch in batches:
                # A silent answer is stopped at the same time, so that its end comes here.
                if watching.is_rung:
                    watching.is_rung = False
                    refusal = await _refusal(watching, user_id)
                    if refusal is not None:
                        yield encode_refusal(refusal)
                        return
                yield b"".join(map(encode_event, batch)) if batch else HEARTBEAT


class EventStream(StreamingHttpResponse):
    """A stream that is handed on as it is: Django's own iterator wraps each piece twice."""

    def __init__(self, frames: AsyncGenerator[bytes]) -> None:
        super().__init__(frames, content_type="text/event-stream")
        self._frames = frames

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._frames


async def stream_response(reading: Reading, user_id: UUID) -> HttpResponseBase:
    """Return the response that this person follows; 204 when there is nothing more to come.

    204 is what tells an EventSource to stop reconnecting.
    """
    if reading.is_over:
        return HttpResponse(status=204)
    # A streaming response holds its request's database connection until the body ends. There is
    # none here: the API reads and writes through `db_call`, which gives connections back.
    response = EventStream(_frames(reading, user_id))
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    response["X-Generation-Id"] = str(reading.generation_id)
    return response
