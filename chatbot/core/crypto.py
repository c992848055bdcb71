"""Envelope encryption: AES-256-GCM under a data key, itself wrapped by the keyring.

Associated data binds a ciphertext to its table, column and row, so that a value copied to
another place fails to open. Nonces are 96 random bits, safe for 2**32 messages under one key
(NIST SP 800-38D, section 8.3); a data key serves one conversation or one user.

Layouts, with the version byte authenticated as associated data:

    value        0x01 | nonce (12) | ciphertext and tag
    wrapped key  0x01 | length of key id (1) | key id | nonce (12) | ciphertext and tag
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chatbot.core.keyring import KEY_BYTES, Keyring

VERSION = b"\x01"
NONCE_BYTES = 12

Field = str | int


class CannotOpen(Exception):
    """A sealed value did not open: wrong key, wrong place, altered, or truncated."""


def bind(*fields: Field) -> bytes:
    """Return associated data in which no two lists of fields look alike (length-prefixed)."""
    encoded = [str(field).encode() for field in fields]
    return VERSION + b"".join(len(item).to_bytes(4, "big") + item for item in encoded)


def _seal(key: AESGCM, plaintext: bytes, associated: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plaintext, associated)


def _open(key: AESGCM, sealed: bytes, associated: bytes) -> bytes:
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return key.decrypt(nonce, ciphertext, associated)
    except (InvalidTag, ValueError) as exc:
        raise CannotOpen("The sealed value did not open.") from exc


def derive_key(key: bytes, purpose: str) -> bytes:
    """Return a key (32 bytes) for one purpose, made from another (HKDF with SHA-256, RFC 5869)."""
    return HKDF(SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


@dataclass(frozen=True, slots=True, repr=False)
class DataCipher:
    """Seals and opens the values of one owner, each bound to its place."""

    key: bytes
    # Made once: a stream seals or opens with it hundreds of times.
    _aead: AESGCM = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_aead", AESGCM(self.key))

    def seal(self, text: str, *place: Field) -> bytes:
        return self.seal_bytes(text.encode(), bind(*place))

    def seal_bytes(self, value: bytes, associated: bytes) -> bytes:
        """Seal for a place that `bind` has encoded."""
        return VERSION + _seal(self._aead, value, associated)

    def open_bytes(self, sealed: bytes, associated: bytes) -> bytes:
        """Open what `seal_bytes` sealed for the same place. Raises CannotOpen."""
        if sealed[:1] != VERSION:
            raise CannotOpen("The sealed value has an unknown version.")
        return _open(self._aead, sealed[1:], associated)

    def open(self, sealed: bytes | memoryview, *place: Field) -> str:
        """Return the text sealed for this place.

        Raises CannotOpen; never returns something else in place of what was sealed.
        """
        try:
            value = bytes(sealed)
        except TypeError as exc:  # SQLite keeps a value of any type in any column.
            raise CannotOpen("The sealed value is not bytes.") from exc
        return self.open_bytes(value, bind(*place)).decode()


def new_wrapped_key(keyring: Keyring, *owner: Field) -> bytes:
    """Make a data key and return it wrapped for its owner."""
    return _wrap(keyring, secrets.token_bytes(KEY_BYTES), *owner)


def rewrap_key(keyring: Keyring, wrapped: bytes | memoryview, *owner: Field) -> bytes | None:
    """Return a data key wrapped by the key that seals now, or None where it is already.

    The data key stays, and opens what it sealed. Raises CannotOpen.
    """
    cipher = unwrap_key(keyring, wrapped, *owner)
    if _key_id_of(bytes(wrapped)) == keyring.sealing_id:
        return None
    return _wrap(keyring, cipher.key, *owner)


def _wrap(keyring: Keyring, data_key: bytes, *owner: Field) -> bytes:
    key_id = keyring.sealing_id.encode()
    sealed = _seal(
        AESGCM(keyring.keys[keyring.sealing_id]), data_key, bind(keyring.sealing_id, *owner)
    )
    return VERSION + len(key_id).to_bytes(1, "big") + key_id + sealed


def _key_id_of(wrapped: bytes) -> str:
    return wrapped[2 : 2 + wrapped[1]].decode(errors="replace")


def unwrap_key(keyring: Keyring, wrapped: bytes | memoryview | None, *owner: Field) -> DataCipher:
    """Return the cipher for an owner's values.

    Raises CannotOpen for a missing (erased) key, an unknown key id, or another owner's key.
    """
    value = bytes(wrapped or b"")
    if value[:1] != VERSION or len(value) < 2:
        raise CannotOpen("The data key is missing or has an unknown version.")
    end = 2 + value[1]
    key_id = _key_id_of(value)
    if key_id not in keyring.keys:
        raise CannotOpen(f"The keyring has no key named {key_id!r}.")
    return DataCipher(_open(AESGCM(keyring.keys[key_id]), value[end:], bind(key_id, *owner)))
