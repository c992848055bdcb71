"""What streaming costs when nothing is kept: a provider's answer passed through, byte for byte.

Starlette and aiohttp, served by uvicorn as the product is. No accounts, no storage, no resume, no
encryption: the least that a Python server between a browser and a model can do.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

MESSAGES = os.environ.get("RELAY_PROVIDER_URL", "") + "/v1/messages"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        app.state.session = session
        yield


async def ask(session: aiohttp.ClientSession, body: bytes) -> AsyncGenerator[bytes]:
    headers = {"content-type": "application/json"}
    async with session.post(MESSAGES, data=body, headers=headers) as answer:
        async for chunk in answer.content.iter_any():
            yield chunk


async def sse(request: Request) -> Response:
    chunks = ask(request.app.state.session, await request.body())
    return StreamingResponse(chunks, media_type="text/event-stream")


async def websocket(socket: WebSocket) -> None:
    """Answer each text with the provider's stream, and an empty text for its end."""
    await socket.accept()
    try:
        while True:
            body = await socket.receive_bytes()
            async with aclosing(ask(socket.app.state.session, body)) as chunks:
                async for chunk in chunks:
                    await socket.send_bytes(chunk)
            await socket.send_bytes(b"")
    except WebSocketDisconnect:
        return


async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


app = Starlette(
    routes=[
        Route("/v1/messages", sse, methods=["POST"]),
        Route("/healthz", health),
        WebSocketRoute("/ws", websocket),
    ],
    lifespan=lifespan,
)
