from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest

from chatbot.core.isolation import isolate

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="fresh")


async def run(application: Any, kind: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope: Any = {"type": kind}
    await isolate(application)(scope, receive, send)
    return sent


async def test_a_connection_does_not_see_what_another_left_behind() -> None:
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(VARIABLE.get())

    VARIABLE.set("left behind")
    await run(application)
    assert seen == ["fresh"]


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_failure_ends_the_response_and_stays_inside(
    has_begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("broken")

    sent = await run(application)
    assert [event["type"] for event in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == (200 if has_begun else 500)
    assert sent[-1]["more_body"] is False
    assert "A connection failed" in caplog.text


async def test_a_failing_socket_is_closed() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken")

    (closed,) = await run(application, "websocket")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1011)
