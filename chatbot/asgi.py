"""The root of every connection: static files, HTTP, WebSocket."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbot.settings.prod")

import django

django.setup(set_prefix=False)

# These import models, which exist only once the line above has run.
from asgiref.sync import ThreadSensitiveContext
from asgiref.wsgi import WsgiToAsgi
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from django.conf import settings
from django.urls import get_resolver
from whitenoise import WhiteNoise

from chatbot.core.bodylimit import BodyLimit
from chatbot.core.drain import StreamDrain
from chatbot.core.handler import Handler
from chatbot.core.heap import leave_out_what_stays
from chatbot.core.tasks import spawn
from conversations.checks import check_judge
from conversations.eventlog import get_event_log
from conversations.opinions import prepare_judge
from conversations.overrides import follow_overrides
from conversations.routing import websocket_urlpatterns
from conversations.scales import follow_scales
from conversations.suspending import follow_suspensions
from llm.catalog import CatalogError
from llm.conf import get_registry
from moderation.judging import get_ready
from moderation.policies import follow_policy

_django = Handler()
_HASHED_NAME = re.compile(r"\.[0-9a-f]{12}\.\w+$")


def _not_found(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"Not found"]


def _is_immutable(path: str, url: str) -> bool:
    return _HASHED_NAME.search(url) is not None


# WhiteNoise's middleware is sync, and would put every request on a thread. Beside Django it
# touches its own paths only.
_static: Any = WsgiToAsgi(  # type: ignore[no-untyped-call]
    WhiteNoise(
        _not_found,
        root=settings.STATIC_ROOT,
        prefix=settings.STATIC_URL,
        immutable_file_test=_is_immutable,
    )
)


async def _http(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"].startswith(settings.STATIC_URL):
        # Django's handler makes such a context itself: a thread that no other request waits for.
        async with ThreadSensitiveContext():
            await _static(scope, receive, send)
    else:
        await _django(scope, receive, send)


# The consumer looks at the Origin itself: a bearer token needs none.
_socket: Any = SessionMiddlewareStack(URLRouter(websocket_urlpatterns))


async def _websocket(scope: Any, receive: Any, send: Any) -> None:
    # Without a context of its own, every socket's sync work shares one thread.
    async with ThreadSensitiveContext():
        await _socket(scope, receive, send)


_drained = StreamDrain(_http)


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Get ready to end in order, and close what is open when the server has ended."""
    following: list[asyncio.Task[None]] = []
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            try:
                get_registry()
            except CatalogError as exc:
                # No system check has run: this is the first that reads it.
                await send({"type": "lifespan.startup.failed", "message": f"Models: {exc}"})
                return
            if faults := [str(one.msg) for one in check_judge() if one.is_serious()]:
                await send({"type": "lifespan.startup.failed", "message": "\n".join(faults)})
                return
            following = [
                spawn(follow_overrides(), name="model overrides"),
                spawn(follow_scales(), name="token scales"),
                spawn(follow_policy(), name="moderation policy"),
                spawn(asyncio.to_thread(get_ready), name="classifier"),
                spawn(prepare_judge(), name="moderation judge"),
                spawn(follow_suspensions(), name="suspensions"),
            ]
            _drained.begin_at(signal.SIGTERM)
            # Imports every view, which would otherwise fall to the first request.
            get_resolver().url_patterns  # noqa: B018
            leave_out_what_stays()
            await send({"type": "lifespan.startup.complete"})
        else:
            for task in following:
                task.cancel()
            await get_event_log().aclose()
            await get_registry().aclose()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = ProtocolTypeRouter(
    {
        "http": BodyLimit(_drained, max_bytes=settings.MAX_BODY_BYTES),
        "websocket": _websocket,
        "lifespan": _lifespan,
    }
)
