"""What moderators, or strikes, impose on a person. Kept until the account goes."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from chatbot.core.fields import SealedField
from chatbot.core.ids import uuid7


class Suspension(models.Model):
    """A time in which a person may not use the service, why, and what they say to that.

    `User.suspended_at` and `suspended_until` are what doors read; both are changed together. One
    whose `until` has passed is over, though nobody has written so here.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="suspensions"
    )
    created = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    until = models.DateTimeField(null=True, help_text="empty: until somebody lifts it")
    reason = models.TextField(help_text="shown to the person; never what they wrote")
    by = models.CharField(max_length=64, help_text="as the audit log names people")
    event_id = models.UUIDField(null=True, help_text="the moderation event that it followed")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=64, blank=True)
    appeal_sealed = SealedField(null=True, editable=False)
    appealed_at = models.DateTimeField(null=True)
    appeal_granted = models.BooleanField(null=True)
    appeal_answer = models.TextField(blank=True, help_text="shown to the person")
    appeal_decided_at = models.DateTimeField(null=True)
    appeal_by = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(ended_at=None), name="suspension_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(appeal_sealed__isnull=True, appealed_at=None)
                | Q(appeal_sealed__isnull=False, appealed_at__isnull=False),
                name="suspension_appeal_has_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["appealed_at"],
                condition=Q(appealed_at__isnull=False, appeal_decided_at=None),
                name="suspension_open_appeals",
            ),
        ]

    def __str__(self) -> str:
        return f"suspension of {self.user_id}"


class AccountWarning(models.Model):
    """A word to a person that they are shown once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="warnings"
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    text = models.TextField(help_text="shown to the person")
    by = models.CharField(max_length=64, help_text="as the audit log names people")
    event_id = models.UUIDField(null=True, help_text="the moderation event that it followed")
    seen_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"warning to {self.user_id}"
