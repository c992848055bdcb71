from __future__ import annotations

from django.db import models
from django.db.models.functions import Coalesce
from django.db.models.lookups import LessThan
from django.utils import timezone

from chatbot.core.fields import SealedField
from chatbot.core.ids import uuid7
from conversations.models.conversation import Conversation


class Role(models.TextChoices):
    USER = "user"
    ASSISTANT = "assistant"


class Status(models.TextChoices):
    COMPLETE = "complete"
    PENDING = "pending"
    STOPPED = "stopped"
    HALTED = "halted"
    FAILED = "failed"


class Feedback(models.TextChoices):
    UP = "up"
    DOWN = "down"


# It does not follow the message written just before: an edit, another answer, a new beginning.
# The first message of all is none, so that a conversation without edits has none.
IS_FORK = models.Q(LessThan(Coalesce("parent_seq", 0), models.F("seq") - 1))


class Message(models.Model):
    """One turn. The key (conversation, seq) is what every read of the history ranges over.

    `parent_seq` makes a tree: an edit or a regeneration is another child of the same parent.
    """

    pk = models.CompositePrimaryKey("conversation_id", "seq")
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    seq = models.PositiveIntegerField()
    id = models.UUIDField(default=uuid7, editable=False)
    parent_seq = models.PositiveIntegerField(null=True)
    role = models.CharField(max_length=9, choices=Role)
    status = models.CharField(max_length=8, choices=Status)
    content_sealed = SealedField(null=True, editable=False)
    token_count = models.PositiveIntegerField(
        default=0, help_text="about, as llm.tokens.Size counts; whatever model reads it"
    )
    wide_tokens = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="how many of these are not of ASCII characters",
    )
    counted_tokens = models.PositiveIntegerField(
        null=True, help_text="an answer's, as the provider of its model counted"
    )
    model = models.CharField(max_length=64, blank=True)
    feedback = models.CharField(max_length=4, choices=Feedback, blank=True)
    feedback_comment_sealed = SealedField(null=True, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="message_role"),
            models.CheckConstraint(
                condition=models.Q(status__in=Status.values), name="message_status"
            ),
            models.CheckConstraint(
                condition=models.Q(parent_seq__isnull=True)
                | models.Q(parent_seq__lt=models.F("seq")),
                name="message_parent_is_older",
            ),
            models.CheckConstraint(
                condition=models.Q(status=Status.PENDING) | models.Q(content_sealed__isnull=False),
                name="message_content_unless_pending",
            ),
        ]

        indexes = [
            models.Index(
                fields=["conversation", "seq"],
                include=["parent_seq"],
                condition=IS_FORK,
                name="message_forks",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.seq}"
