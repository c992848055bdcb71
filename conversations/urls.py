from __future__ import annotations

from django.urls import path

from conversations.pages import chat, make_appeal, see_warning

urlpatterns = [
    path("", chat, name="chat"),
    path("c/<uuid:conversation_id>/", chat, name="conversation"),
    path("appeal/", make_appeal, name="appeal"),
    path("warnings/<uuid:warning_id>/seen/", see_warning, name="see_warning"),
]
