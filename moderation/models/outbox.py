from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from chatbot.core.fields import SealedField
from chatbot.core.ids import uuid7


class ModerationOutbox(models.Model):
    """What was screened out and is still to be written down, in the transaction that did it.

    Its id becomes the event's, so that one taken up twice is one event.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    record = models.JSONField(help_text="the event's columns that may be read by anybody")
    wrapped_key = SealedField(editable=False)
    excerpt_sealed = SealedField(editable=False)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["created"], name="moderation_outbox_order")]

    def __str__(self) -> str:
        return str(self.id)
