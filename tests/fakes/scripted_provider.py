"""A model provider that does what it is told: a real HTTP server in a process of its own.

It speaks the Anthropic Messages protocol (`/v1/messages` streaming, `/v1/messages/count_tokens`,
`/health`) and is steered over HTTP:

- `POST /control {"default": {...}, "queue": [{...}, ...]}` sets the script (see `Script`) of all
  following requests, and of the next ones in order; either key may be left out;
- `POST /release` lets every request that reached its `hold_after` go on;
- `GET /requests` tells what arrived and what became of it, with totals;
- `GET /closed` answers once a client has closed a stream early;
- `POST /reset` forgets everything and drops scripts.

`python -m tests.fakes.scripted_provider --port 0` prints `{"url": ...}` when it accepts
connections, and stops when its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.script import (
    INVALID_UTF8,
    MALFORMED,
    PING,
    Script,
    closing,
    delta,
    opening,
    sse,
)

PING_EVERY_S = 0.05
KEPT_REQUESTS = 20_000


@dataclass(slots=True)
class Record:
    """One request as it was received, and how far its answer got."""

    number: int
    raw: str
    body: Any
    api_key: str
    input_tokens: int
    output_tokens: int = 0
    state: str = "open"  # then completed, refused, faulted or closed_early


@dataclass(slots=True)
class Totals:
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    open: int = 0
    peak_open: int = 0
    closed_early: int = 0


class Cut(Exception):
    """The script tears the connection down."""


@dataclass(slots=True)
class Stage:
    """Everything that the control calls change."""

    default: Script = field(default_factory=Script)
    queue: deque[Script] = field(default_factory=deque)
    records: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    totals: Totals = field(default_factory=Totals)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def next_script(self) -> Script:
        return self.queue.popleft() if self.queue else self.default


STAGE = web.AppKey("stage", Stage)


def count_tokens(body: Any) -> int:
    """A stable stand-in for a tokenizer: four characters of the prompt make a token."""
    return max(1, len(json.dumps([body.get("system", ""), body.get("messages", [])])) // 4)


class Answer:
    """One streamed response, written chunk by chunk at absolute deadlines."""

    def __init__(self, request: web.Request, script: Script, record: Record) -> None:
        self._request = request
        self._script = script
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._stage = request.app[STAGE]

    async def run(self) -> web.StreamResponse:
        script = self._script
        start = self._loop.time()
        if script.refuse:
            raise Cut
        if script.status is not None:
            return self._refusal(script.status)
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream", "request-id": "req_scripted"}
        )
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        model = str(self._record.body.get("model", ""))
        self._write(opening(script, model=model, input_tokens=self._record.input_tokens))
        if script.pings_only:
            await self._ping_forever()
        if not await self._deltas(start):
            self._record.state = "faulted"
            return response
        self._write(closing(script, output_tokens=self._record.output_tokens))
        self._record.state = "completed"
        return response

    async def _deltas(self, start: float) -> bool:
        """Write the answer's text; False when the script ends it early."""
        script = self._script
        due = start + script.first_token_ms / 1000
        step = script.token_ms / 1000
        sent = 0
        for piece in script.pieces():
            if not await self._before(sent):
                return False
            await self._sleep_until(due)
            self._write(delta(piece))
            sent += 1
            self._record.output_tokens = sent
            self._stage.totals.output_tokens += 1
            due += step
        return await self._before(sent)

    async def _before(self, sent: int) -> bool:
        """Do what the script has for this point; False when the stream ends here."""
        script = self._script
        if script.hold_after == sent:
            await self._stage.released.wait()
        if script.cut_after == sent:
            raise Cut
        if script.stall_after == sent:
            await asyncio.Event().wait()
        if script.ping_after == sent:
            await self._ping_forever()
        if script.malformed_after == sent:
            self._write(MALFORMED)
        if script.invalid_utf8_after == sent:
            self._write(INVALID_UTF8)
        if script.error_event_after == sent:
            error = {"type": script.error_event, "message": script.error_message}
            self._write(sse("error", {"error": error}))
            return False
        return script.end_after != sent

    def _write(self, data: bytes) -> None:
        # Past aiohttp's writer on purpose: with hundreds of streams it costs more than we do.
        transport = self._request.transport
        if transport is not None:
            transport.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def _sleep_until(self, due: float) -> None:
        delay = due - self._loop.time()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _ping_forever(self) -> None:
        while True:
            self._write(PING)
            await asyncio.sleep(PING_EVERY_S)

    def _refusal(self, status: int) -> web.Response:
        script = self._script
        headers = dict(script.headers)
        if script.retry_after is not None:
            headers["retry-after"] = script.retry_after
        self._record.state = "refused"
        error = {"type": script.error_type, "message": script.error_message}
        return web.json_response({"type": "error", "error": error}, status=status, headers=headers)


async def post_messages(request: web.Request) -> web.StreamResponse:
    stage = request.app[STAGE]
    raw = await request.text()
    body = json.loads(raw)
    script = stage.next_script()
    tokens = script.input_tokens if script.input_tokens is not None else count_tokens(body)
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    key = request.headers.get("x-api-key", bearer)
    record = Record(stage.totals.requests, raw, body, key, tokens)
    totals = stage.totals
    stage.records.append(record)
    totals.requests += 1
    totals.input_tokens += 0 if script.status or script.refuse else tokens
    totals.open += 1
    totals.peak_open = max(totals.peak_open, totals.open)
    try:
        return await Answer(request, script, record).run()
    except Cut:
        record.state = "faulted"
        reset_connection(request)
        raise asyncio.CancelledError from None
    except asyncio.CancelledError:
        record.state = "closed_early"
        totals.closed_early += 1
        stage.closed.set()
        raise
    finally:
        totals.open -= 1


def reset_connection(request: web.Request) -> None:
    """Close with a TCP reset, as a crashed server or a dropped network does."""
    if request.transport is None:
        return
    sock = request.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


async def post_count_tokens(request: web.Request) -> web.Response:
    return web.json_response({"input_tokens": count_tokens(await request.json())})


async def get_health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def post_control(request: web.Request) -> web.Response:
    stage = request.app[STAGE]
    orders = await request.json()
    try:
        if "default" in orders:
            stage.default = Script.from_json(orders["default"])
        if "queue" in orders:
            stage.queue = deque(Script.from_json(values) for values in orders["queue"])
    except (TypeError, ValueError) as exc:
        return web.json_response({"error": str(exc)}, status=400)
    stage.released.clear()
    return web.json_response({})


async def post_release(request: web.Request) -> web.Response:
    request.app[STAGE].released.set()
    return web.json_response({})


async def post_reset(request: web.Request) -> web.Response:
    stage = request.app[STAGE]
    stage.default = Script()
    stage.queue.clear()
    stage.records.clear()
    stage.totals = Totals()
    stage.released.clear()
    stage.closed.clear()
    return web.json_response({})


async def get_closed(request: web.Request) -> web.Response:
    await request.app[STAGE].closed.wait()
    return web.json_response({})


async def get_requests(request: web.Request) -> web.Response:
    stage = request.app[STAGE]
    answer = {
        "requests": [asdict(record) for record in stage.records],
        "totals": asdict(stage.totals),
    }
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


def build_app(default: Script) -> web.Application:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[STAGE] = Stage(default=default)
    app.add_routes(
        [
            web.post("/v1/messages", post_messages),
            web.post("/v1/messages/count_tokens", post_count_tokens),
            web.get("/health", get_health),
            web.post("/control", post_control),
            web.post("/release", post_release),
            web.post("/reset", post_reset),
            web.get("/requests", get_requests),
            web.get("/closed", get_closed),
        ]
    )
    return app


async def stdin_closed() -> None:
    """Return when whoever started this process is gone."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


async def serve(app: web.Application, *, port: int) -> None:
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    await web.SockSite(runner, listener).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()
    try:
        await stdin_closed()
    finally:
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first-token-ms", type=float, default=0.0)
    parser.add_argument("--token-ms", type=float, default=0.0)
    parser.add_argument("--tokens", type=int, default=20)
    args = parser.parse_args()
    default = Script(first_token_ms=args.first_token_ms, token_ms=args.token_ms, tokens=args.tokens)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(build_app(default), port=args.port))


if __name__ == "__main__":
    main()
