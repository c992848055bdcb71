"""Links of the audit log: each is signed together with the one before it. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from chatbot.core.crypto import derive_key

DIGEST_BYTES = 32
# What the first link follows.
NOTHING = bytes(DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Link:
    """What one entry says, in its place."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    key_id: str
    previous: bytes

    def sign(self, key: bytes) -> bytes:
        """Return the digest (HMAC-SHA-256, 32 bytes) of this link, the one before it included."""
        # The same bytes for the same entry, also after a database has had it.
        text = orjson.dumps(
            [
                self.seq,
                round(self.at.timestamp() * 1_000_000),
                self.actor,
                self.action,
                self.subject,
                self.detail,
                self.key_id,
                self.previous.hex(),
            ],
            option=orjson.OPT_SORT_KEYS,
        )
        return hmac.digest(key, text, "sha256")


def signing_key(key_encryption_key: bytes) -> bytes:
    """Return the key that signs, made from one of the keyring's."""
    return derive_key(key_encryption_key, "parley audit 1")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at an entry."""

    seq: int
    words: str

    def __str__(self) -> str:
        return f"entry {self.seq}: {self.words}"


def find_faults(
    entries: Iterable[tuple[Link, bytes]],
    *,
    keys: Mapping[str, bytes],
    heads: Mapping[int, Collection[bytes]],
    last: tuple[int, bytes],
) -> Iterator[Fault]:
    """Yield what was altered, removed or put elsewhere; `entries` come with their digests, in order.

    `heads` are digests that somebody kept outside the database, by entry. Of one entry there may be
    several: then its tail was cut off and written anew. `last` is the entry that the database says
    is the last. Without a head that is as late, a tail that was cut off together
    with `last` is not found.
    """
    seq, digest = 0, NOTHING
    for link, signed in entries:
        seq += 1
        if link.seq != seq:
            missing = f"entries {seq} to {link.seq - 1} are" if link.seq - seq > 1 else f"{seq} is"
            yield Fault(link.seq, f"{missing} missing before it")
            seq = link.seq
        elif link.previous != digest:
            yield Fault(seq, "does not follow the one before it")
        key = keys.get(link.key_id)
        if key is None:
            yield Fault(seq, f"cannot be checked: the keyring has no key {link.key_id}")
        elif not hmac.compare_digest(link.sign(key), signed):
            yield Fault(seq, "was altered")
        if any(kept != signed for kept in heads.get(seq, ())):
            yield Fault(seq, "is not the one whose digest was kept elsewhere")
        digest = signed
    if last != (seq, digest):
        yield Fault(
            last[0], f"is the last by the database's own count, but the log ends with {seq}"
        )
    beyond = [kept for kept in heads if kept > seq]
    if beyond:
        yield Fault(max(beyond), f"was written and is gone: the log ends with {seq}")
