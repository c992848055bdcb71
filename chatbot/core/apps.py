from __future__ import annotations

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "chatbot.core"
    label = "core"

    def ready(self) -> None:
        from chatbot.core import checks  # noqa: F401  (registers the checks)
