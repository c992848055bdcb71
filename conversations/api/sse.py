"""Server-sent events with ids, so that a reader can resume (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from conversations.events import Event
from conversations.reading import Reading

HEARTBEAT = b": still here\n\n"


def encode_event(event: Event) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        str(event.cursor).encode(),
        event.type.encode(),
        orjson.dumps(event.data),
    )


async def _frames(reading: Reading) -> AsyncGenerator[bytes]:
    # Bytes at once: proxies and browsers open the stream before the first event.
    yield HEARTBEAT
    async with aclosing(reading.batches()) as batches:
        async for batch in batches:
            yield b"".join(map(encode_event, batch)) if batch else HEARTBEAT


class EventStream(StreamingHttpResponse):
    """A stream that is handed on as it is: Django's own iterator wraps each piece twice."""

    def __init__(self, frames: AsyncGenerator[bytes]) -> None:
        super().__init__(frames, content_type="text/event-stream")
        self._frames = frames

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._frames


async def stream_response(reading: Reading) -> HttpResponseBase:
    """Return the response that a reader follows; 204 when there is nothing more to come.

    204 is what tells an EventSource to stop reconnecting.
    """
    if reading.is_over:
        return HttpResponse(status=204)
    # A streaming response holds its request's database connection until the body ends. There is
    # none here: the API reads and writes through `db_call`, which gives connections back.
    response = EventStream(_frames(reading))
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    response["X-Generation-Id"] = str(reading.generation_id)
    return response
