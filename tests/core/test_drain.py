from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from chatbot.core.drain import StreamDrain

START: dict[str, Any] = {"type": "http.response.start", "status": 200}
STREAM = {**START, "headers": [(b"Content-Type", b"text/event-stream; charset=utf-8")]}
PLAIN = {**START, "headers": [(b"content-type", b"application/json")]}
PIECE = {"type": "http.response.body", "body": b": still here\n\n", "more_body": True}
END = {"type": "http.response.body", "body": b"", "more_body": False}


class Scripted:
    """Sends what it is given, and then waits for the end of the request or to be let on."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = events
        self.may_end = asyncio.Event()
        self.was_ended = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        for event in self.events:
            await send(event)
        gone = asyncio.ensure_future(receive())
        let_on = asyncio.ensure_future(self.may_end.wait())
        await asyncio.wait([gone, let_on], return_when=asyncio.FIRST_COMPLETED)
        self.was_ended = gone.done() and gone.result()["type"] == "http.disconnect"
        if not self.was_ended:
            # As Django ends a stream: without naming what is the default.
            await send({"type": "http.response.body"})
        gone.cancel()
        let_on.cancel()


async def ask(drain: StreamDrain) -> ApplicationCommunicator:
    asked = ApplicationCommunicator(drain, {"type": "http"})
    await asked.send_input({"type": "http.request", "body": b"", "more_body": False})
    return asked


async def test_a_stream_is_ended_in_order() -> None:
    application = Scripted(STREAM, PIECE)
    drain = StreamDrain(application)
    asked = await ask(drain)
    assert [await asked.receive_output() for _ in range(2)] == [STREAM, PIECE]
    drain.begin()
    assert await asked.receive_output() == END
    await asked.wait()
    assert application.was_ended


async def test_a_stream_that_begins_too_late_ends_at_once() -> None:
    drain = StreamDrain(Scripted(STREAM))
    drain.begin()
    asked = await ask(drain)
    start = {**STREAM, "headers": [*STREAM["headers"], (b"connection", b"close")]}
    assert [await asked.receive_output() for _ in range(2)] == [start, END]
    await asked.wait()


async def test_a_connection_that_was_accepted_too_late_is_closed_after_its_answer() -> None:
    application = Scripted(PLAIN)
    drain = StreamDrain(application)
    drain.begin()
    asked = await ask(drain)
    assert (b"connection", b"close") in (await asked.receive_output())["headers"]
    application.may_end.set()
    await asked.wait()


@pytest.mark.parametrize(("start", "is_draining"), [(PLAIN, True), (STREAM, False)])
async def test_what_is_not_to_end_ends_by_itself(start: dict[str, Any], is_draining: bool) -> None:
    application = Scripted(start, PIECE)
    drain = StreamDrain(application)
    asked = await ask(drain)
    assert [await asked.receive_output() for _ in range(2)] == [start, PIECE]
    if is_draining:
        drain.begin()
    application.may_end.set()
    assert await asked.receive_output() == {"type": "http.response.body"}
    await asked.wait()
    assert await asked.receive_nothing()
    assert not application.was_ended
