from __future__ import annotations

from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "chatbot.desk"
    label = "desk"
    verbose_name = "Moderators' desk"
