"""Bearer tokens: 256 random bits, shown once, kept as a hash.

A plain SHA-256 is enough for a secret with this much entropy: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets

from chatbot.accounts.models import ApiToken, User

PREFIX = "parley_"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_token(user: User, *, label: str = "") -> str:
    """Make a token and return it; it cannot be read again."""
    token = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, digest=_digest(token), label=label)
    return token


def find_user_by_token(token: str) -> User | None:
    if not token.startswith(PREFIX) or not token.isascii():
        return None
    found = ApiToken.objects.select_related("user").filter(digest=_digest(token)).first()
    return found.user if found and found.user.is_active else None
