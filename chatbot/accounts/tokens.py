"""Bearer tokens: 256 random bits, shown once, kept as a hash.

A plain SHA-256 is enough for a secret with this much entropy: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets

from chatbot.accounts.models import ApiToken, User
from chatbot.core.prepared import PreparedSelect

PREFIX = "parley_"

_owner = PreparedSelect(
    lambda at: User.objects.filter(tokens__digest=at.digest, is_active=True), digest=str
)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_token(user: User, *, label: str = "") -> str:
    """Make a token and return it; it cannot be read again."""
    token = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, digest=_digest(token), label=label)
    return token


def is_token(text: str) -> bool:
    """Say whether this could be a token; what could not is refused without a query."""
    return text.startswith(PREFIX) and text.isascii()


def find_user_by_token(token: str) -> User | None:
    if not is_token(token):
        return None
    found = _owner.objects(digest=_digest(token))
    return found[0] if found else None
