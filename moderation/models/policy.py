from __future__ import annotations

from django.db import models
from django.utils import timezone


class PolicyVersion(models.Model):
    """A policy that moderators published; the newest one holds. Written once, never changed."""

    version = models.PositiveIntegerField(primary_key=True)
    created = models.DateTimeField(default=timezone.now, editable=False)
    author = models.CharField(
        max_length=64, editable=False, help_text="as the audit log names them"
    )
    note = models.CharField(max_length=200, help_text="what changed, and why")
    data = models.JSONField(help_text="see moderation.policy.parse_policy")

    def __str__(self) -> str:
        return f"policy {self.version}"
