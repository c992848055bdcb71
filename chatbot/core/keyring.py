"""Key-encryption keys: several may open, one seals.

The keyring is text, `id:base64key` items separated by commas or white space; the first item
seals. Rotation puts a new key first; `manage.py rewrapkeys` then leaves nothing that an old one has
to open.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass

KEY_BYTES = 32
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class KeyringError(ValueError):
    """The keyring text is not usable; the message never contains key material."""


@dataclass(frozen=True, slots=True)
class Keyring:
    keys: dict[str, bytes]
    sealing_id: str

    def __repr__(self) -> str:
        return f"Keyring(ids={sorted(self.keys)})"


def parse_keyring(text: str) -> Keyring:
    """Read a keyring.

    Raises KeyringError for an empty ring, a bad or repeated id, or a key that is not 32 bytes.
    """
    keys: dict[str, bytes] = {}
    for position, item in enumerate(re.split(r"[\s,]+", text.strip()), start=1):
        key_id, _, encoded = item.partition(":")
        if not _KEY_ID.fullmatch(key_id):
            raise KeyringError(f"Keyring item {position}: expected `id:base64key`.")
        if key_id in keys:
            raise KeyringError(f"Keyring item {position}: the id {key_id!r} stands twice.")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError as exc:  # Also what b64decode says of letters beyond ASCII.
            raise KeyringError(f"Keyring item {position}: the key is not base64.") from exc
        if len(key) != KEY_BYTES:
            raise KeyringError(f"Keyring item {position}: the key is not {KEY_BYTES} bytes.")
        keys[key_id] = key
    return Keyring(keys=keys, sealing_id=next(iter(keys)))


def new_keyring_text(key_id: str = "k1") -> str:
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
