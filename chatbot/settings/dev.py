"""Embedded mode: one process tree on one machine, its secrets kept in its data folder."""

from __future__ import annotations

import socket

from django.core.exceptions import ImproperlyConfigured

from chatbot import env
from chatbot.core.keyfiles import read_or_create
from chatbot.core.keyring import new_keyring_text
from chatbot.settings.base import *  # noqa: F403
from chatbot.settings.base import ALLOWED_HOSTS, DATA_DIR, HOST, SILENCED_SYSTEM_CHECKS

DEBUG = env.flag("DEBUG", False)
try:
    SECRET_KEY = env.text("SECRET_KEY") or read_or_create(DATA_DIR / "secret.key")
    KEYRING = env.text("KEYRING") or read_or_create(
        DATA_DIR / "keyring.key",
        new_keyring_text(),
        advice="Back it up: without it nothing that was said can be read again.",
    )
except OSError as exc:
    raise ImproperlyConfigured(f"DATA_DIR {DATA_DIR} cannot be used: {exc.strerror}.") from exc

if not ALLOWED_HOSTS:
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", HOST, socket.gethostname()]

# The in-process cache is shared by everything there is in embedded mode: one process.
SILENCED_SYSTEM_CHECKS = [
    *SILENCED_SYSTEM_CHECKS,
    "django_ratelimit.E003",
    "django_ratelimit.W001",
]
