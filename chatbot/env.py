"""The process environment as typed values.

Every value may also come from a file: `SECRET_KEY_FILE=/run/secrets/key` is read when
`SECRET_KEY` is not set. A bad value stops the start with one line that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

_env = environ.FileAwareEnv()
T = TypeVar("T")


def _read(name: str, read: Callable[..., T], default: T) -> T:
    try:
        return read(name, default=default)
    except (ValueError, TypeError) as exc:
        raise ImproperlyConfigured(f"{name} has a value that cannot be read: {exc}") from exc


def text(name: str, default: str = "") -> str:
    return str(_read(name, _env.str, default)).strip()


def required(name: str) -> str:
    """Return a value that has no safe default.

    Raises ImproperlyConfigured, naming the variable, when it is missing or empty.
    """
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"Set {name} (or {name}_FILE).")
    return value


def flag(name: str, default: bool) -> bool:
    return bool(_read(name, _env.bool, default))


def names(name: str, default: list[str]) -> list[str]:
    return [item.strip() for item in _read(name, _env.list, default) if item.strip()]


def number(name: str, default: int, *, least: int = 0) -> int:
    value = int(_read(name, _env.int, default))
    if value < least:
        raise ImproperlyConfigured(f"{name} must be at least {least}, not {value}.")
    return value


def seconds(name: str, default: float) -> float:
    value = float(_read(name, _env.float, default))
    if value <= 0:
        raise ImproperlyConfigured(f"{name} must be more than 0 seconds, not {value}.")
    return value


def database(url: str) -> dict[str, Any]:
    """Return Django's settings for a database URL such as `postgres://user@host/name`."""
    try:
        return dict(_env.db_url_config(url))
    except (ValueError, KeyError) as exc:
        raise ImproperlyConfigured("DATABASE_URL is not a database URL.") from exc


def email(url: str) -> dict[str, Any]:
    """Return Django's settings for a mail URL such as `smtp+tls://user:pass@host:587`."""
    try:
        return dict(_env.email_url_config(url))
    except (ValueError, KeyError) as exc:
        raise ImproperlyConfigured("EMAIL_URL is not a mail URL.") from exc
