"""An entry as bytes: what was said in one conversation, in sealed parts that are added at its end.

    head   0x02 | memory_version (4) | a random name (8)
    part   length (4) | sealed JSON

Each part is bound to the conversation and to the head, so that none of another conversation, or of
another entry of this one, opens in it. Each but the first names the message that it follows; a part
that was moved, doubled or left out in the middle breaks that chain. One that is missing at the end
leaves a shorter entry that is true as well: what was said does not change.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from chatbot.core.crypto import CannotOpen, DataCipher, bind
from conversations.context import Memory
from conversations.said import Said

FORMAT = b"\x02"
VERSION_BYTES = 4
HEAD_BYTES = len(FORMAT) + VERSION_BYTES + 8
LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest messages of a branch, oldest first, without a gap.

    `before` is the message that the oldest follows; None where that is the first of all. Of the
    memories there are those that a prompt of these messages may tell.
    """

    said: Sequence[Said]
    before: int | None
    memories: Sequence[Memory]
    head: bytes = b""
    size: int = 0
    parts: int = 0

    @property
    def leaf(self) -> int | None:
        return self.said[-1].seq if self.said else None


def pack_entry(cipher: DataCipher, conversation_id: UUID, version: int, entry: Entry) -> bytes:
    """Return a new entry for this memory_version."""
    head = FORMAT + version.to_bytes(VERSION_BYTES, "big") + secrets.token_bytes(8)
    memories = [(one.covers, one.text, one.corrected) for one in entry.memories]
    part = {"before": entry.before, "memories": memories, "said": _columns(entry.said)}
    return head + _seal(cipher, conversation_id, head, part)


def pack_part(
    cipher: DataCipher, conversation_id: UUID, entry: Entry, said: Sequence[Said]
) -> bytes:
    """Return what is to be added at the end of an entry that was read, for what follows there."""
    part = {"after": entry.leaf, "said": _columns(said)}
    return _seal(cipher, conversation_id, entry.head, part)


def unpack_entry(
    cipher: DataCipher, conversation_id: UUID, version: int, raw: bytes
) -> Entry | None:
    """Return an entry; None if it is of another memory_version or format.

    Raises CannotOpen for what was not made here, for this conversation, and in this order.
    """
    head = raw[:HEAD_BYTES]
    if head[:-8] != FORMAT + version.to_bytes(VERSION_BYTES, "big"):
        return None
    associated = _place(conversation_id, head)
    parts = [orjson.loads(cipher.open_bytes(one, associated)) for one in _split(raw)]
    if not parts or "before" not in parts[0]:
        raise CannotOpen("The entry has no beginning.")
    said: list[Said] = []
    for number, part in enumerate(parts):
        if number and part.get("after", -1) != (said[-1].seq if said else None):
            raise CannotOpen("The parts of the entry do not follow each other.")
        said += map(Said, *part["said"])
    first = parts[0]
    memories = [Memory(*one) for one in first["memories"]]
    return Entry(said, first["before"], memories, head, len(raw), len(parts))


def cut_entry(entry: Entry, leaf: int | None) -> Entry | None:
    """Return an entry as it was when a message was the last, for a branch that leaves it there.

    None if it holds nothing of the kind.
    """
    if leaf == entry.leaf:
        return entry
    for place in range(len(entry.said) - 1, -1, -1):
        if entry.said[place].seq == leaf:
            return replace(entry, said=entry.said[: place + 1])
    return None


def _columns(said: Sequence[Said]) -> Sequence[Sequence[Any]]:
    return list(zip(*said, strict=True)) or [[] for _ in Said._fields]


def _place(conversation_id: UUID, head: bytes) -> bytes:
    return bind("context", str(conversation_id)) + head


def _seal(cipher: DataCipher, conversation_id: UUID, head: bytes, part: dict[str, Any]) -> bytes:
    sealed = cipher.seal_bytes(orjson.dumps(part), _place(conversation_id, head))
    return len(sealed).to_bytes(LENGTH_BYTES, "big") + sealed


def _split(raw: bytes) -> list[bytes]:
    parts: list[bytes] = []
    at = HEAD_BYTES
    while at < len(raw):
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(raw[at:begin], "big")
        if at > len(raw):
            raise CannotOpen("The entry is truncated.")
        parts.append(raw[begin:at])
    return parts
