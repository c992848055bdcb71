"""Tests: secrets fixed, hashing quick, mail kept in memory."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from chatbot.settings.base import *  # noqa: F403
from chatbot.settings.base import CACHES, DATABASES, REDIS_URL, STORAGES

_SCRATCH = Path(tempfile.mkdtemp(prefix="parley-test-"))
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
STATIC_ROOT = _SCRATCH

SECRET_KEY = "a fixed secret that only tests use, long enough for the checks"
KEYRING = "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# What a test's model says is shown at once, as it said it.
MODERATION_HOLD_BACK = 0
# Those that ask the second tier turn it on.
MODERATION_TIER2 = os.environ.get("MODERATION_TIER2", "off")
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, because database threads each open a connection of their own.
    DATABASES["default"]["NAME"] = _SCRATCH / "db.sqlite3"
    DATABASES["default"]["TEST"] = {"NAME": _SCRATCH / "test.sqlite3"}
else:
    # A pool would hold connections open while the test database is dropped.
    DATABASES["default"]["OPTIONS"].pop("pool")

if REDIS_URL:
    # Test processes that run beside each other share the server, never the limits they count in it.
    _worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    REDIS_URL = f"{REDIS_URL.rsplit('/', 1)[0]}/{_worker}"
    CACHES["default"]["LOCATION"] = REDIS_URL
    CELERY_BROKER_URL = REDIS_URL
