from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path

from chatbot import health
from chatbot.api import api, unknown_address

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("api/v1/", api.urls),
    re_path(r"^api/", unknown_address),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("conversations.urls")),
]
