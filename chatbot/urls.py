from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path

from chatbot import health
from chatbot.api import api, unknown_address

# The admin's own sign-in page knows neither the second factor nor the limit on guesses.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler500 = "chatbot.failed.answer_failure"

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    # Of itself it would answer with a page.
    path("api/v1/", unknown_address),
    path("api/v1/", api.urls),
    re_path(r"^api/", unknown_address),
    path("accounts/", include("allauth.urls")),
    path("admin/costs/", include("chatbot.accounts.costs.urls")),
    path("admin/desk/", include("chatbot.desk.urls")),
    path("admin/", admin.site.urls),
    path("", include("conversations.urls")),
]
