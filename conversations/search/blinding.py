"""Terms as the database sees them: keyed hashes, of which only their owner's key can make more."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from chatbot.accounts.models import User
from chatbot.core.crypto import derive_key

# 32 bits: two of a person's 100,000 words are rarely the same (1 in 43,000), and what is found is
# opened and looked at anyway. Half the index of 64 bits.
BLIND_BYTES = 4


class Blinder:
    """Blinds the terms of one person.

    The key is derived (HKDF, RFC 5869) from the person's data key, which a rotation of the keyring
    wraps anew and does not change: an index outlives every rotation.
    """

    def __init__(self, user: User) -> None:
        """Raises CannotOpen when the person's data key does not open."""
        self._key = derive_key(user.cipher().key, "parley search terms 1")

    def blind(self, terms: Iterable[str]) -> list[int]:
        """Return the signed integers that stand for these terms, sorted.

        Their order says nothing of the order of the words.
        """
        return sorted({self._blind(term) for term in terms})

    def _blind(self, term: str) -> int:
        digest = hmac.digest(self._key, term.encode(errors="replace"), "sha256")
        return int.from_bytes(digest[:BLIND_BYTES], "big", signed=True)
