from __future__ import annotations

from django.db import models
from django.utils import timezone

from chatbot.core.fields import SealedField
from chatbot.core.ids import uuid7
from conversations.models.conversation import Conversation


class Summary(models.Model):
    """What is remembered of a branch up to a message; versions are added, never changed.

    It holds for every branch with the message `covers_seq`: with that come all before it.
    """

    pk = models.CompositePrimaryKey("conversation_id", "version")
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="summaries", db_index=False
    )
    version = models.PositiveIntegerField(
        help_text="the conversation's memory_version from then on"
    )
    covers_seq = models.PositiveIntegerField(help_text="seq of the last message that it sums up")
    text_sealed = SealedField(editable=False)
    token_count = models.PositiveIntegerField(help_text="about, as it stands in a prompt")
    is_corrected = models.BooleanField(default=False, help_text="written by the person")
    model = models.CharField(max_length=64, blank=True, help_text="empty: extracted, or corrected")
    cost_micros = models.PositiveBigIntegerField(default=0, help_text="millionths of a dollar")
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "summaries"

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.version}"


class ChoreKind(models.TextChoices):
    SUMMARY = "summary"
    TITLE = "title"


class Chore(models.Model):
    """Something to be done for a conversation after an answer: marked with it, gone when done.

    The row is the outbox: whoever looks for work finds it even if nobody was told.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="chores", db_index=False
    )
    kind = models.CharField(max_length=8, choices=ChoreKind)
    mark = models.UUIDField(
        default=uuid7, editable=False, help_text="another each time: none that came is forgotten"
    )
    tries = models.PositiveSmallIntegerField(default=0)
    held_until = models.DateTimeField(
        null=True, help_text="nobody takes it before: somebody has it, or it failed just now"
    )
    holder = models.UUIDField(null=True, editable=False, help_text="fences earlier holders")
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "kind"], name="chore_once"),
            models.CheckConstraint(
                condition=models.Q(kind__in=ChoreKind.values), name="chore_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.conversation_id}"
