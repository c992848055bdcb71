"""Typed access to the settings that `core` reads."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from chatbot.core.keyring import Keyring, parse_keyring

_parsed = lru_cache(maxsize=2)(parse_keyring)


def get_keyring() -> Keyring:
    """Return the process's keyring. Raises KeyringError when the setting is not one."""
    return _parsed(settings.KEYRING)
