"""Whether this process lives, whether it can serve, and what it counts."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chatbot.core.db import db_call
from chatbot.core.redis import RedisAway, open_redis
from conversations.workers import has_workers
from llm.admission.gauges import read_gauges
from llm.conf import find_failing_models, get_load, get_registry, get_slots

# Probes commonly give up after a few seconds, and would not learn what is missing.
PATIENCE_S = 2.0


async def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the event loop turns."""
    return JsonResponse({"status": "ok"})


async def _ask_database() -> dict[str, bool | None]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return {"database": True, "worker": await db_call(has_workers)}
    except (Error, TimeoutError):
        # Whether there are workers is not known.
        return {"database": False, "worker": None}


async def _answers_redis() -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S), aclosing(open_redis()) as client:
            return bool(await client.ping())
    except RedisAway:
        return False


async def readyz(request: HttpRequest) -> HttpResponse:
    """200 when everything an answer needs is there, else 503 with what is missing.

    Redis counts as something to do without: taking every web process out of service for it would
    end the service that goes on without it. `failing` names the models whose breakers are open:
    others answer for them.
    """
    async with asyncio.TaskGroup() as group:
        stored = group.create_task(_ask_database())
        redis = group.create_task(_answers_redis()) if settings.REDIS_URL else None
    parts: dict[str, bool | None] = {**stored.result(), "model": get_registry().is_ready}
    status = "ok" if all(parts.values()) else "unready"
    if redis is not None:
        parts["redis"] = redis.result()
        if status == "ok" and not parts["redis"]:
            status = "degraded"
    code = 503 if status == "unready" else 200
    failing = await find_failing_models()
    known = {"failing": failing} if failing else {}
    return JsonResponse({"status": status, **parts, **known}, status=code)


async def metrics(request: HttpRequest) -> HttpResponse:
    """Return what this process counts, and the lanes and breakers that all share."""
    registry = get_registry()
    lanes = {lane.name: lane for lane in map(registry.lane, registry.models())}
    await asyncio.to_thread(read_gauges, list(lanes.values()), get_slots(), get_load())
    # The gauge of the breakers is set on the way.
    await find_failing_models()
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
