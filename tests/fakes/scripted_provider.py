"""A model provider that does what it is told: a real HTTP server in a process of its own.

It speaks the Anthropic Messages protocol (`/v1/messages` streaming, `/v1/messages/count_tokens`,
`/health`) and OpenAI's Chat Completions (`/v1/chat/completions`), and is steered over HTTP:

- `POST /control {"default": {...}, "queue": [{...}, ...], "tagged": {"tag": [{...}, ...]}}` sets
  the script (see `Script`) of all following requests, of the next ones in order, and of those with
  a tag (`#script:tag`) in what the user last wrote, in order; each key may be left out;
- `POST /control {"capacity": {"at_once": 20, "retry_after": "1"}}` refuses, with 429, what comes
  while so many are served; null takes everything again;
- `POST /release` lets every request that reached its `hold_after` go on;
- `GET /requests` tells what arrived and what became of it, with totals;
- `GET /totals` tells the totals alone;
- `GET /tags` tells how many requests there were with each tag;
- `GET /struck` tells how often each fault of a script befell a request;
- `GET /closed` answers once a client has closed a stream early;
- `POST /reset` forgets everything and drops scripts.

A request whose last turn is the beginning of its answer, or that is asked to go on from there, is
answered with the rest of it. As at the real provider, a hosted model (`claude-...`) refuses a last
turn of its own.

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
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.answering import STAGE, Answer, Capacity, Cut, Record, Stage, Totals
from tests.fakes.choosing import Choice, NotAPrefix, is_prefilled
from tests.fakes.script import Script
from tests.fakes.voices import CHAT, MESSAGES, Voice

PREFIX_REFUSED = Script(status=400, error_type="invalid_request_error")


def count_tokens(body: Any) -> int:
    """A stable stand-in for a tokenizer: four characters of the prompt make a token."""
    return max(1, len(json.dumps([body.get("system", ""), body.get("messages", [])])) // 4)


def choose_script(stage: Stage, body: Any) -> Script:
    is_hosted = str(body.get("model", "")).startswith("claude")
    if is_hosted and is_prefilled(body.get("messages", [])):
        return PREFIX_REFUSED
    return stage.choice.next_script(body)


async def post_messages(request: web.Request) -> web.StreamResponse:
    return await answer(request, MESSAGES)


async def post_chat(request: web.Request) -> web.StreamResponse:
    return await answer(request, CHAT)


async def answer(request: web.Request, voice: Voice) -> web.StreamResponse:
    stage = request.app[STAGE]
    raw = await request.text()
    body = json.loads(raw)
    try:
        script = choose_script(stage, body)
    except NotAPrefix:
        stage.totals.mismatched += 1
        script = PREFIX_REFUSED
    if stage.capacity is not None and stage.totals.serving >= stage.capacity.at_once:
        script = stage.capacity.refusal()
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
    is_served = script.status is None
    totals.refused += not is_served
    totals.serving += is_served
    totals.peak_serving = max(totals.peak_serving, totals.serving)
    try:
        return await Answer(request, script, record, voice).run()
    except Cut:
        record.state = "faulted"
        reset_connection(request)
        raise asyncio.CancelledError from None
    except (asyncio.CancelledError, ConnectionResetError):
        # The latter where the client was gone before the first byte.
        record.state = "closed_early"
        totals.closed_early += 1
        stage.closed.set()
        raise asyncio.CancelledError from None
    finally:
        totals.open -= 1
        totals.serving -= is_served


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
            stage.choice.default = Script.from_json(orders["default"])
        if "queue" in orders:
            stage.choice.queue = deque(Script.from_json(values) for values in orders["queue"])
        if "capacity" in orders:
            wanted = orders["capacity"]
            stage.capacity = None if wanted is None else Capacity(**wanted)
        if "tagged" in orders:
            stage.choice.set_tagged(orders["tagged"])
    except (TypeError, ValueError) as exc:
        return web.json_response({"error": str(exc)}, status=400)
    stage.released.clear()
    return web.json_response({})


async def post_release(request: web.Request) -> web.Response:
    request.app[STAGE].released.set()
    return web.json_response({})


async def post_reset(request: web.Request) -> web.Response:
    stage = request.app[STAGE]
    stage.choice = Choice()
    stage.capacity = None
    stage.records.clear()
    stage.struck.clear()
    stage.totals = Totals()
    stage.released.clear()
    stage.closed.clear()
    return web.json_response({})


async def get_closed(request: web.Request) -> web.Response:
    await request.app[STAGE].closed.wait()
    return web.json_response({})


async def get_requests(request: web.Request) -> web.Response:
    stage = request.app[STAGE]
    told = {
        "requests": [asdict(record) for record in stage.records],
        "totals": asdict(stage.totals),
    }
    return web.Response(body=orjson.dumps(told), content_type="application/json")


async def get_totals(request: web.Request) -> web.Response:
    return web.json_response(asdict(request.app[STAGE].totals))


async def get_tags(request: web.Request) -> web.Response:
    return web.json_response(request.app[STAGE].choice.asked)


async def get_struck(request: web.Request) -> web.Response:
    return web.json_response(request.app[STAGE].struck)


def build_app(default: Script) -> web.Application:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[STAGE] = Stage(Choice(default))
    app.add_routes(
        [
            web.post("/v1/messages", post_messages),
            web.post("/v1/messages/count_tokens", post_count_tokens),
            web.post("/v1/chat/completions", post_chat),
            web.get("/health", get_health),
            web.post("/control", post_control),
            web.post("/release", post_release),
            web.post("/reset", post_reset),
            web.get("/requests", get_requests),
            web.get("/closed", get_closed),
            web.get("/tags", get_tags),
            web.get("/totals", get_totals),
            web.get("/struck", get_struck),
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
