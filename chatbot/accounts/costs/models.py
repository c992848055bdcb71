"""The roll-up of the ledger that the cost page reads. All of it can be made again."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Measures(models.Model):
    """What the calls of one plan, purpose and model add up to in some time."""

    plan = models.CharField(max_length=8)
    purpose = models.CharField(max_length=8)
    model = models.CharField(max_length=64)
    calls = models.PositiveBigIntegerField()
    works = models.PositiveBigIntegerField(
        help_text="answers, titles or summaries, each under the model that was asked last"
    )
    fallbacks = models.PositiveBigIntegerField(help_text="works for which more models were asked")
    input_tokens = models.PositiveBigIntegerField()
    cache_read_tokens = models.PositiveBigIntegerField()
    cache_write_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    cost_micros = models.PositiveBigIntegerField(help_text="millionths of a dollar")
    first_token = models.JSONField(default=dict, help_text="a histogram; see costs.sketch")

    class Meta:
        abstract = True


class HourlyCost(Measures):
    """One hour, kept until its day can no longer change."""

    hour = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "plan", "purpose", "model"], name="cost_once_an_hour"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.plan} {self.purpose} {self.model}"


class DailyCost(Measures):
    day = models.DateField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["day", "plan", "purpose", "model"], name="cost_once_a_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.plan} {self.purpose} {self.model}"


class CostDay(models.Model):
    """A day that was counted. Whoever counts it holds this row locked."""

    day = models.DateField(primary_key=True)
    counted = models.DateTimeField(null=True, help_text="when it last was")
    calls = models.PositiveBigIntegerField(default=0)
    calls_by_person = models.PositiveBigIntegerField(
        default=0, help_text="how many there were when the people were last counted"
    )
    least_kept_micros = models.PositiveBigIntegerField(
        default=0, help_text="people who are not listed cost at most so much each"
    )

    class Meta:
        default_permissions = ()
        permissions = [("view_costs", "Can see the cost page")]

    def __str__(self) -> str:
        return f"{self.day}"


class PersonalCost(models.Model):
    """What one of a day's most expensive people cost on it."""

    day = models.DateField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="costs"
    )
    answers = models.PositiveBigIntegerField()
    tokens = models.PositiveBigIntegerField()
    cost_micros = models.PositiveBigIntegerField(help_text="millionths of a dollar")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["day", "user"], name="cost_of_person_once_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.user_id}"
