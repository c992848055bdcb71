"""The process environment as typed values.

Text may also come from a file: `SECRET_KEY_FILE=/run/secrets/key` stands for `SECRET_KEY` and
wins over it. A bad value stops the start with one line that names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

_FLAGS = {
    **dict.fromkeys(("true", "on", "ok", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "off", "no", "n", "0", ""), False),
}

# For its URLs only: it resolves values that begin with `$`, as a random secret may.
_urls = environ.Env()


def text(name: str, default: str = "") -> str:
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name, default).strip()
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ImproperlyConfigured(f"{name}_FILE names a file that cannot be read.") from exc


def required(name: str) -> str:
    """Return a value that has no safe default.

    Raises ImproperlyConfigured, naming the variable, when it is missing or empty.
    """
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"Set {name} (or {name}_FILE).")
    return value


def _parsed(name: str, parse: Callable[[str], T], default: T) -> T:
    # Not from a file: LOCAL_MODEL_FILE is a model, and not where the flag LOCAL_MODEL stands.
    given = os.environ.get(name)
    if given is None:
        return default
    try:
        return parse(given.strip())
    except (ValueError, KeyError) as exc:
        raise ImproperlyConfigured(f"{name} cannot be {given!r}.") from exc


def flag(name: str, default: bool) -> bool:
    # A word that is neither must not switch off what was meant to be on.
    return _parsed(name, lambda value: _FLAGS[value.lower()], default)


def choice(name: str, default: str, *choices: str) -> str:
    """Return one of the choices, in the spelling given here, whatever case it is set in."""
    value = text(name, default)
    for known in choices:
        if known.lower() == value.lower():
            return known
    raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}.")


def names(name: str, default: list[str]) -> list[str]:
    return [item.strip() for item in text(name, ",".join(default)).split(",") if item.strip()]


def number(name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
    value = _parsed(name, int, default)
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} must be from {least} to {most}, not {value}.")
    return value


def seconds(name: str, default: float) -> float:
    value = _parsed(name, float, default)
    if not 0 < value < float("inf"):
        raise ImproperlyConfigured(f"{name} must be more than 0 seconds, not {value}.")
    return value


def database(url: str) -> dict[str, Any]:
    """Return Django's settings for a database URL such as `postgres://user@host/name`."""
    return _by_url("DATABASE_URL", url, _urls.DB_SCHEMES, _urls.db_url_config)


def email(url: str) -> dict[str, Any]:
    """Return Django's settings for a mail URL such as `smtp+tls://user:pass@host:587`."""
    return _by_url("EMAIL_URL", url, _urls.EMAIL_SCHEMES, _urls.email_url_config)


def url(name: str, *schemes: str) -> str:
    """Return a URL with one of the schemes, or nothing where none is set."""
    value = text(name)
    if value and not _is_url(value, schemes):
        # Without the URL, which may have a password in it.
        raise ImproperlyConfigured(f"{name} takes a URL such as {schemes[0]}://host.")
    return value


def check_cluster(name: str, urls: list[str]) -> None:
    """Raise ImproperlyConfigured unless these are addresses of a cluster's nodes.

    A cluster has one database, and all nodes are reached in the way of the first.
    """
    for url in urls:
        if not _is_node(url):
            # Without the URL, which may have a password in it.
            raise ImproperlyConfigured(f"{name} takes URLs such as redis://host:6379, by commas.")


def check_proxies(name: str, values: list[str]) -> None:
    """Raise ImproperlyConfigured unless these are addresses, networks, or the word `unix`."""
    for value in values:
        try:
            if value != "unix":
                ip_network(value)
        except ValueError as exc:
            raise ImproperlyConfigured(
                f"{name} takes addresses and networks such as 10.0.0.0/8, or unix: not {value!r}."
            ) from exc


def _is_node(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        return False
    is_address = parts.scheme in {"redis", "rediss"} and bool(parts.hostname)
    return is_address and has_port and parts.path in {"", "/", "/0"}


def _is_url(value: str, schemes: Container[str]) -> bool:
    try:
        parts = urlsplit(value)
        has_port = parts.port != 0
    except ValueError:
        return False
    # One of a socket has no host.
    return has_port and parts.scheme in schemes and bool(parts.hostname or parts.scheme == "unix")


def _by_url(
    name: str, url: str, schemes: Container[str], parse: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in schemes:
        raise ImproperlyConfigured(f"{name} does not begin with a scheme that is known.")
    try:
        return dict(parse(url))
    except (ValueError, KeyError) as exc:
        # Without the URL, which has a password in it.
        raise ImproperlyConfigured(f"{name} is not a URL that can be read.") from exc


def check_hold_back(name: str, value: int) -> None:
    """Raise ImproperlyConfigured for characters that no gate can hold back: `moderation.gate`."""
    if 0 < value < 80:
        raise ImproperlyConfigured(f"{name} must be 0, or from 80 to 160, not {value}.")
