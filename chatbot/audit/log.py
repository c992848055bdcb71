"""Writing to the audit log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from chatbot.audit.chain import Link, signing_key
from chatbot.audit.models import AuditEntry, AuditHead
from chatbot.core.conf import get_keyring

logger = logging.getLogger(__name__)

# Who acts where no person of the staff does.
SYSTEM = "system"
COMMAND_LINE = "command line"


def record(actor: str, action: str, subject: str, /, **detail: Any) -> AuditEntry:
    """Write an entry: who did what to whom, with what else is to be known (JSON).

    In the caller's transaction, so that what is undone has no entry and what is done has one.
    Writers wait for each other until their transactions end: call this last. After the commit the
    head of the log goes to the service's log and to AUDIT_HEADS_FILE, where nobody who can change
    the database need be able to change it.
    """
    with transaction.atomic():
        head = _take_head()
        keyring = get_keyring()
        link = Link(
            seq=head.seq,
            at=timezone.now(),
            actor=actor,
            action=action,
            subject=subject,
            detail=detail,
            key_id=keyring.sealing_id,
            previous=bytes(head.digest),
        )
        digest = link.sign(signing_key(keyring.keys[link.key_id]))
        entry = AuditEntry.objects.create(
            seq=link.seq,
            at=link.at,
            actor=actor,
            action=action,
            subject=subject,
            detail=detail,
            key_id=link.key_id,
            previous=link.previous,
            digest=digest,
        )
        AuditHead.objects.filter(pk=AuditHead.ID).update(digest=digest)
        # Not a partial: where one fails Django asks for its name, which it has not.
        transaction.on_commit(lambda: _keep_head(link.seq, digest), robust=True)
    return entry


def _take_head() -> AuditHead:
    """Return the head with the next entry's number; others wait for it from here on."""
    one_more = AuditHead.objects.filter(pk=AuditHead.ID)
    if not one_more.update(seq=F("seq") + 1):
        # Whoever is first makes it, and whoever comes at the same time waits for that.
        AuditHead.objects.get_or_create(pk=AuditHead.ID)
        one_more.update(seq=F("seq") + 1)
    return one_more.get()


def _keep_head(seq: int, digest: bytes) -> None:
    line = f"audit head {seq} {digest.hex()}"
    logger.info(line)
    if not settings.AUDIT_HEADS_FILE:
        return
    try:
        with Path(settings.AUDIT_HEADS_FILE).open("a") as heads:
            heads.write(f"{line}\n")
    except OSError as exc:
        # What was done is done, and the line above has the head.
        logger.error("AUDIT_HEADS_FILE cannot be written: %s", exc.strerror)
