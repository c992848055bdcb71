from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from chatbot.core.fields import SealedField
from chatbot.core.ids import uuid7
from moderation.types import Category, Surface


class Source(models.TextChoices):
    """Where the text stood."""

    MESSAGE = "message"
    SYSTEM_PROMPT = "system_prompt", "system prompt"
    INSTRUCTIONS = "instructions", "custom instructions"
    MEMORY = "memory", "what is remembered"
    TITLE = "title"
    FEEDBACK = "feedback", "feedback on an answer"
    ANSWER = "answer"
    SUMMARY = "summary"


class Action(models.TextChoices):
    """What was done when it was met."""

    FLAGGED = "flagged"
    SUPPORTED = "supported", "answered with support"
    BLOCKED = "blocked"
    HALTED = "halted", "halted while it was written"
    WITHDRAWN = "withdrawn", "withdrawn after it was shown"


class State(models.TextChoices):
    OPEN = "open"
    DECIDED = "decided"


class Verdict(models.TextChoices):
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"


class ModerationEvent(models.Model):
    """One text that was flagged or worse, what was done, and what a moderator says of it.

    The text around it is sealed under a key of its own, so that it outlives the conversation for
    review and can be erased alone. With a person's account go their events.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="moderation_events",
        db_index=False,
    )
    plan = models.CharField(max_length=8)
    source = models.CharField(max_length=16, choices=Source)
    surface = models.CharField(max_length=8, choices=[(str(one), str(one)) for one in Surface])
    action = models.CharField(max_length=9, choices=Action)
    category = models.CharField(max_length=16, choices=[(str(one), str(one)) for one in Category])
    score = models.FloatField(help_text="what the decision rests on, from 0 to 1")
    scores = models.JSONField(default=dict, help_text="of each category, and the risk of it all")
    rules = models.JSONField(default=list, help_text="names of the rules that it met")
    policy_version = models.PositiveIntegerField(help_text="0 is the one that is shipped")
    classifier_version = models.CharField(max_length=64)
    conversation_id = models.UUIDField(null=True, editable=False)
    generation_id = models.UUIDField(null=True, editable=False)
    message_seq = models.PositiveIntegerField(null=True, editable=False)
    wrapped_key = SealedField(editable=False)
    excerpt_sealed = SealedField(editable=False)
    span_start = models.PositiveIntegerField(default=0, help_text="within the excerpt, characters")
    span_end = models.PositiveIntegerField(default=0)
    severity = models.PositiveSmallIntegerField(default=0, help_text="0 to 100; the queue's order")
    state = models.CharField(max_length=7, choices=State, default=State.OPEN)
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    claimed_until = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=9, choices=Verdict, blank=True)
    label = models.CharField(
        max_length=16,
        blank=True,
        choices=[(str(one), str(one)) for one in Category],
        help_text="the category that it is in truth, where a moderator says so",
    )
    note_sealed = SealedField(null=True, editable=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state=State.OPEN, verdict="")
                | models.Q(state=State.DECIDED, verdict__in=Verdict.values),
                name="moderation_decided_has_verdict",
            ),
        ]
        indexes = [
            models.Index(
                fields=["-severity", "created"],
                condition=models.Q(state=State.OPEN),
                name="moderation_queue",
            ),
            models.Index(fields=["user", "-created"], name="moderation_of_user"),
            models.Index(fields=["-created"], name="moderation_by_time"),
            models.Index(
                fields=["-decided_at"],
                condition=models.Q(state=State.DECIDED),
                name="moderation_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.category} in {self.source} of {self.created:%Y-%m-%d %H:%M}"
