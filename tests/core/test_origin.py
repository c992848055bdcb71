from __future__ import annotations

import pytest
from pytest_django import Settings

from chatbot.core.origin import is_own_origin


def headers(origin: str | None, host: str) -> list[tuple[bytes, bytes]]:
    sent = [(b"host", host.encode())]
    return sent if origin is None else [*sent, (b"origin", origin.encode())]


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("https://chat.example", "chat.example", True),
        ("https://chat.example:443", "chat.example", True),
        ("http://localhost:3000", "localhost:8000", False),
        ("http://127.0.0.1:8000", "localhost:8000", False),
        ("http://evil.example", "localhost:8000", False),
        ("http://evil.example", "evil.example", False),
        ("http://localhost:x", "localhost:8000", False),
        ("null", "localhost:8000", False),
        ("file://", "localhost:8000", False),
        ("", "localhost:8000", False),
        (None, "localhost:8000", False),
        ("https://trusted.example", "localhost:8000", True),
        ("https://chat.many.example", "localhost:8000", True),
        ("https://a.chat.many.example", "localhost:8000", True),
        ("http://chat.many.example", "localhost:8000", False),
        ("https://many.example.evil.example", "localhost:8000", False),
        ("https://notmany.example", "localhost:8000", False),
    ],
)
def test_an_origin_is_own_by_host_and_port(
    settings: Settings, origin: str | None, host: str, is_own: bool
) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "chat.example"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.many.example/"]
    assert is_own_origin(headers(origin, host)) is is_own
