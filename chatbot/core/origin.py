"""Which pages may open a WebSocket that a cookie signs in."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host
from django.utils.http import is_same_domain

_PORTS = {"http": 80, "https": 443}


def _authority(netloc: str, scheme: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{netloc}")
    return (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme)


def is_own_origin(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether a handshake comes from a page of this site, or of a trusted origin.

    Browsers send cookies to every port of a host, so host and port must both be the ones asked
    for. The scheme is not compared: behind a proxy that ends TLS it is not known here.
    """
    found = {name: value.decode("latin-1") for name, value in headers}
    origin, host = found.get(b"origin", ""), found.get(b"host", "")
    scheme, _, netloc = origin.partition("://")
    if _is_trusted(origin, scheme, netloc):
        return True
    try:
        asked, own = _authority(netloc, scheme), _authority(host, scheme)
    except ValueError:
        return False
    return scheme in _PORTS and asked == own and validate_host(asked[0], settings.ALLOWED_HOSTS)


def _is_trusted(origin: str, scheme: str, netloc: str) -> bool:
    """Say whether the operator trusts an origin, itself or by `https://*.its.domain`.

    As Django's `CsrfViewMiddleware` reads the setting, so that whoever may post may also connect.
    """
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        if trusted == origin:
            return True
        parts = urlsplit(trusted)
        is_wildcard = "*" in trusted and scheme == parts.scheme
        if is_wildcard and is_same_domain(netloc, parts.netloc.lstrip("*")):
            return True
    return False
