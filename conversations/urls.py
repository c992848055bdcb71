from __future__ import annotations

from django.urls import path

from conversations.pages import chat

urlpatterns = [
    path("", chat, name="chat"),
    path("c/<uuid:conversation_id>/", chat, name="conversation"),
]
