"""A remote judge behind a real HTTP server, which says what the test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


def answer(**scores: float) -> dict[str, Any]:
    """An answer of the endpoint in which what scores above one half is flagged."""
    named = {name.replace("__", "/").replace("_", "-"): value for name, value in scores.items()}
    return {
        "model": "omni-1",
        "results": [
            {
                "flagged": any(value > 0.5 for value in named.values()),
                "categories": {name: value > 0.5 for name, value in named.items()},
                "category_scores": named,
            }
        ],
    }


@dataclass
class JudgeServer:
    """What the server answers next, what it was asked, and where it is."""

    url: str = ""
    status: int = 200
    body: Any = None
    silent: asyncio.Event | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def moderate(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers.get("Authorization", ""), await request.json()))
        if self.silent is not None:
            await self.silent.wait()
        return web.json_response(self.body, status=self.status)


@asynccontextmanager
async def serve_judge() -> AsyncIterator[JudgeServer]:
    told = JudgeServer(body=answer(violence=0.2))
    app = web.Application()
    app.router.add_post("/v1/moderations", told.moderate)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    told.url = f"http://{host}:{port}/v1/moderations"
    try:
        yield told
    finally:
        await runner.cleanup()
