"""System checks for what the settings promise."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from chatbot.core.conf import get_keyring
from chatbot.core.keyring import KeyringError


@register()
def check_keyring(**_: Any) -> list[CheckMessage]:
    try:
        get_keyring()
    except KeyringError as exc:
        return [Error(str(exc), hint="Set KEYRING or KEYRING_FILE.", id="core.E001")]
    return []
