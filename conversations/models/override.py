from __future__ import annotations

from django.db import models


class ModelOverride(models.Model):
    """What operators changed of one model of the catalogue; every process takes it up soon."""

    name = models.CharField(max_length=64, unique=True, help_text="as in the catalogue")
    is_off = models.BooleanField("switched off", default=False)
    answer_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text="longest answer; empty means what the catalogue says"
    )
    plans = models.JSONField(
        null=True, blank=True, help_text="who may use it; none means what the catalogue says"
    )
    max_concurrency = models.PositiveIntegerField(
        "calls at once", null=True, blank=True, help_text="at most; empty: what the provider takes"
    )
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    note = models.CharField(max_length=200, blank=True, help_text="why, for other operators")
    changed = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
