from __future__ import annotations

from typing import Any

from django.urls import path

from conversations.consumers import ChatConsumer

# Channels routes ASGI applications by Django's paths, which are typed for views.
_application: Any = ChatConsumer.as_asgi()
websocket_urlpatterns: list[Any] = [path("ws/chat/", _application)]
