from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from chatbot.core.fields import SealedField
from chatbot.core.ids import uuid7


class Conversation(models.Model):
    """One thread of messages. Its data key opens everything said in it, and nothing else."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The index of the list begins with it. Beside one of the person alone the database would, for
    # somebody with many, read them all and sort them.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        db_index=False,
    )
    wrapped_key = SealedField(editable=False)
    title_sealed = SealedField(null=True, editable=False)
    title_is_own = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="written by the person"
    )
    system_prompt_sealed = SealedField(null=True, editable=False)
    pinned_facts_sealed = SealedField(null=True, editable=False)
    memory_version = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="grows with each summary and each change of what is pinned; see Summary",
    )
    model = models.CharField(max_length=64, default="auto", help_text="auto, or a catalogue name")
    pinned = models.BooleanField(default=False)
    archived = models.BooleanField(default=False)
    next_seq = models.PositiveIntegerField(default=1, editable=False)
    active_leaf = models.PositiveIntegerField(
        null=True, editable=False, help_text="seq of the last message of the branch shown"
    )
    smart_until = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="seq of the last answer that a smart model gives whatever is asked: see choosing",
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    updated = models.DateTimeField(default=timezone.now, editable=False)

    idempotency_key = models.CharField(max_length=200, null=True, editable=False)
    request_digest = models.CharField(
        max_length=64,
        default="",
        # Processes of the release before insert rows without it.
        db_default="",
        editable=False,
        help_text="keyed hash of the request",
    )

    class Meta:
        constraints = [
            # Those without a key are null, which is equal to nothing.
            models.UniqueConstraint(
                fields=["user", "idempotency_key"], name="conversation_idempotency"
            ),
        ]
        indexes = [
            models.Index(
                fields=["user", "-pinned", "-updated", "-id"], name="conversation_pinned_first"
            ),
            # Of everybody together, for what is too old to be kept.
            models.Index(fields=["updated"], name="conversation_by_age"),
        ]

    def __str__(self) -> str:
        return str(self.id)
