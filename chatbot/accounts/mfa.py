"""Two-factor secrets, sealed under the keyring."""

from __future__ import annotations

import base64
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter

from chatbot.core.conf import get_keyring
from chatbot.core.crypto import CannotOpen, new_wrapped_key, rewrap_key, unwrap_key

_OWNER = ("mfa_authenticator", "secret")
_SEPARATOR = "."


class SealedSecretsAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is untyped
    """Each secret has a data key of its own, wrapped beside it."""

    def encrypt(self, text: str) -> str:
        wrapped = new_wrapped_key(get_keyring(), *_OWNER)
        sealed = unwrap_key(get_keyring(), wrapped, *_OWNER).seal(text, *_OWNER)
        return _join(wrapped, sealed)

    def decrypt(self, encrypted_text: str) -> str:
        wrapped, sealed = _split(encrypted_text)
        return unwrap_key(get_keyring(), wrapped, *_OWNER).open(sealed, *_OWNER)


def rewrap_secrets(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a second factor keeps with its secrets' keys wrapped by the key that seals now.

    None where they are already. Raises CannotOpen.
    """
    # Everything else that a factor keeps is a number.
    secrets = {name: _rewrap(text) for name, text in data.items() if isinstance(text, str)}
    changed = {name: text for name, text in secrets.items() if text is not None}
    return {**data, **changed} if changed else None


def _rewrap(text: str) -> str | None:
    wrapped, sealed = _split(text)
    anew = rewrap_key(get_keyring(), wrapped, *_OWNER)
    return None if anew is None else _join(anew, sealed)


def _join(*parts: bytes) -> str:
    return _SEPARATOR.join(base64.b64encode(part).decode() for part in parts)


def _split(text: str) -> tuple[bytes, bytes]:
    try:
        wrapped, sealed = map(base64.b64decode, text.split(_SEPARATOR))
    except ValueError as exc:
        raise CannotOpen("The two-factor secret is not a sealed value.") from exc
    return wrapped, sealed
