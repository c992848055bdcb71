"""Two-factor secrets, sealed under the keyring."""

from __future__ import annotations

import base64

from allauth.mfa.adapter import DefaultMFAAdapter

from chatbot.core.conf import get_keyring
from chatbot.core.crypto import CannotOpen, new_wrapped_key, unwrap_key

_OWNER = ("mfa_authenticator", "secret")
_SEPARATOR = "."


class SealedSecretsAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is untyped
    """Each secret has a data key of its own, wrapped beside it."""

    def encrypt(self, text: str) -> str:
        wrapped = new_wrapped_key(get_keyring(), *_OWNER)
        sealed = unwrap_key(get_keyring(), wrapped, *_OWNER).seal(text, *_OWNER)
        return _SEPARATOR.join(base64.b64encode(part).decode() for part in (wrapped, sealed))

    def decrypt(self, encrypted_text: str) -> str:
        try:
            wrapped, sealed = map(base64.b64decode, encrypted_text.split(_SEPARATOR))
        except ValueError as exc:
            raise CannotOpen("The two-factor secret is not a sealed value.") from exc
        return unwrap_key(get_keyring(), wrapped, *_OWNER).open(sealed, *_OWNER)
