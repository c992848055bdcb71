from __future__ import annotations

from django.db import models


class Worker(models.Model):
    """A generation worker as it last reported itself; one that fell silent is gone."""

    name = models.CharField(primary_key=True, max_length=80)
    running = models.PositiveIntegerField(default=0, help_text="answers it is writing")
    concurrency = models.PositiveIntegerField(help_text="answers it can write at once")
    is_draining = models.BooleanField(default=False)
    started = models.DateTimeField()
    seen = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
