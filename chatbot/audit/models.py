from __future__ import annotations

from django.db import models
from django.utils import timezone

from chatbot.audit.chain import DIGEST_BYTES, NOTHING, Link


class AuditEntry(models.Model):
    """What somebody of the staff, a command or the system did. Written once, never changed.

    People are named by their ids only, so that an entry outlives an account and says nothing more
    of it; no content of conversations stands here.
    """

    seq = models.BigIntegerField(primary_key=True, verbose_name="number")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.CharField(max_length=64, db_index=True)
    action = models.CharField(max_length=64, db_index=True)
    subject = models.CharField(max_length=200, db_index=True)
    detail = models.JSONField(default=dict)
    key_id = models.CharField(max_length=32)
    previous = models.BinaryField(max_length=DIGEST_BYTES)
    digest = models.BinaryField(max_length=DIGEST_BYTES)

    class Meta:
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.seq}: {self.action}"

    @property
    def link(self) -> Link:
        return Link(
            seq=self.seq,
            at=self.at,
            actor=self.actor,
            action=self.action,
            subject=self.subject,
            detail=self.detail,
            key_id=self.key_id,
            previous=bytes(self.previous),
        )


class AuditHead(models.Model):
    """The last entry. Its one row is what writers wait for, so that entries have an order."""

    ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ID)
    seq = models.BigIntegerField(default=0)
    digest = models.BinaryField(max_length=DIGEST_BYTES, default=NOTHING)
