"""Checking the audit log against its signatures, and against heads that were kept elsewhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

from django.db import connection, transaction

from chatbot.audit.chain import Fault, Link, find_faults, signing_key
from chatbot.audit.models import AuditEntry, AuditHead
from chatbot.core.conf import get_keyring

BATCH = 1000
_HEAD = re.compile(r"audit head (\d+) ([0-9a-f]{64})")


def read_heads(lines: Iterable[str]) -> dict[int, set[bytes]]:
    """Return the heads that stand in lines of a log, of AUDIT_HEADS_FILE, or of anything else.

    A number has several where its entry was written more than once: all of them count.
    """
    heads: dict[int, set[bytes]] = {}
    for line in lines:
        for match in _HEAD.finditer(line):
            heads.setdefault(int(match[1]), set()).add(bytes.fromhex(match[2]))
    return heads


@contextmanager
def steady_view() -> Iterator[None]:
    """See the log as it is now until the block ends, whatever is written meanwhile."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # SQLite's transactions see nothing else anyway.
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def count_entries() -> int:
    return AuditEntry.objects.count()


def check_log(
    heads: Mapping[int, Collection[bytes]], *, entries: Iterable[AuditEntry]
) -> Iterator[Fault]:
    """Yield what is wrong with the log; `entries` are all of them, as `list_entries` gives them."""
    keys = {name: signing_key(key) for name, key in get_keyring().keys.items()}
    head = AuditHead.objects.filter(pk=AuditHead.ID).first() or AuditHead()
    return find_faults(
        map(_as_signed, entries), keys=keys, heads=heads, last=(head.seq, bytes(head.digest))
    )


def list_entries() -> Iterator[AuditEntry]:
    return AuditEntry.objects.order_by("seq").iterator(BATCH)


def _as_signed(entry: AuditEntry) -> tuple[Link, bytes]:
    return entry.link, bytes(entry.digest)
