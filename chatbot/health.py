"""Whether this process lives, whether it can serve, and what it counts."""

from __future__ import annotations

from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chatbot.core.db import db_call
from conversations.workers import has_workers
from llm.conf import get_registry


async def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the event loop turns."""
    return JsonResponse({"status": "ok"})


def _ask_database() -> dict[str, bool]:
    try:
        return {"database": True, "worker": has_workers()}
    except Error:
        return {"database": False, "worker": False}


async def readyz(request: HttpRequest) -> HttpResponse:
    """200 when everything an answer needs is there, else 503 with what is missing."""
    parts = {
        **await db_call(_ask_database),
        "model": get_registry().is_ready,
    }
    status = 200 if all(parts.values()) else 503
    return JsonResponse({"status": "ok" if status == 200 else "unready", **parts}, status=status)


async def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
