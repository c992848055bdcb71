from __future__ import annotations

from typing import Any

from django.urls import path, re_path

from conversations.consumers import ChatConsumer, NowhereConsumer

# Channels routes ASGI applications by Django's paths, which are typed for views.
_application: Any = ChatConsumer.as_asgi()
_nowhere: Any = NowhereConsumer.as_asgi()
websocket_urlpatterns: list[Any] = [path("ws/chat/", _application), re_path(r"", _nowhere)]
