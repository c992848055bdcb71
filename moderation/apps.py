from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from moderation import tiers


class ModerationConfig(AppConfig):
    name = "moderation"

    def ready(self) -> None:
        tiers.choose_second(settings.MODERATION_TIER2)
