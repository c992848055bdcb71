from __future__ import annotations

from django.db import models


class TokenScale(models.Model):
    """What is learnt of how finely a family of models splits text; see `llm.calibration`.

    Whoever changes it raises `version`, in an UPDATE that finds the one it read.
    """

    family = models.CharField(max_length=128, primary_key=True)
    plain_learnt = models.FloatField(help_text="logarithm")
    plain_step = models.SmallIntegerField(help_text="what is in use")
    plain_lessons = models.PositiveIntegerField(default=0)
    wide_learnt = models.FloatField(help_text="logarithm")
    wide_step = models.SmallIntegerField(help_text="what is in use")
    wide_lessons = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=0)
    changed = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.family
