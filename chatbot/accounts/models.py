"""People, their tokens for the API, what they may spend in a month, and what they have."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from chatbot.accounts import sanctions  # noqa: F401 - Models of this app too.
from chatbot.accounts.costs import models as cost_models  # noqa: F401 - These as well.
from chatbot.core.conf import get_keyring
from chatbot.core.crypto import DataCipher, new_wrapped_key, unwrap_key
from chatbot.core.fields import SealedField
from chatbot.core.ids import uuid7


class Plan(models.TextChoices):
    FREE = "free"
    PRO = "pro"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person who signs in with `email`. Raises ValueError for an empty address."""
        if not email:
            raise ValueError("A user needs an email address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True)
    plan = models.CharField(max_length=8, choices=Plan, default=Plan.FREE)
    monthly_token_budget = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Tokens a month; empty means what the plan gives."
    )
    wrapped_key = SealedField(default=b"", editable=False)
    custom_instructions_sealed = SealedField(null=True, editable=False)
    # Both are changed with the row in `Suspension` that says why.
    suspended_at = models.DateTimeField(null=True, editable=False)
    suspended_until = models.DateTimeField(null=True, editable=False)
    slowed_until = models.DateTimeField(null=True, editable=False)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_any_case"),
            models.CheckConstraint(condition=models.Q(plan__in=Plan.values), name="user_plan"),
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, **kwargs: Any) -> None:
        if not self.wrapped_key:
            self.wrapped_key = new_wrapped_key(get_keyring(), "user", str(self.pk))
        super().save(**kwargs)

    def clean(self) -> None:
        """Keep an address as sign-in looks for it, however it was typed into a form."""
        super().clean()
        self.email = self.email.lower()

    @property
    def is_suspended(self) -> bool:
        """Whether a suspension holds now: one whose end has come is over without anybody's doing."""
        if self.suspended_at is None:
            return False
        return self.suspended_until is None or self.suspended_until > timezone.now()

    @property
    def is_slowed(self) -> bool:
        return self.slowed_until is not None and self.slowed_until > timezone.now()

    def cipher(self) -> DataCipher:
        """Return the cipher of this person's own values. Raises CannotOpen."""
        return unwrap_key(get_keyring(), self.wrapped_key, "user", str(self.pk))


class ApiToken(models.Model):
    """A bearer token, of which only the hash is kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    label = models.CharField(max_length=80, blank=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.label or 'token'} of {self.user_id}"


class BudgetPeriod(models.Model):
    """What one person may spend, holds reserved, and has spent in one month, in tokens."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="budget_periods")
    month = models.DateField(help_text="The first day of the month, UTC.")
    limit = models.PositiveBigIntegerField()
    reserved = models.PositiveBigIntegerField(default=0)
    spent = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "month"], name="budget_one_per_month"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.month:%Y-%m}"


class Purpose(models.TextChoices):
    """What a call to a model was made for."""

    ANSWER = "answer"
    TITLE = "title"
    SUMMARY = "summary"
    VERDICT = "verdict"
    OPENING = "opening", "spent before there was a ledger"


class LedgerEntry(models.Model):
    """One call to a model: whom it was made for, what it used and what it cost.

    Entries are only ever added, in the transaction that charges their tokens to the month. They
    name no conversation and outlive it; with a person's account goes their name on them.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without a constraint in the database: checking it would lock the person's row with every
    # answer, and who erases an account would wait for whoever finishes one.
    user = models.ForeignKey(
        User,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="ledger",
    )
    plan = models.CharField(max_length=8, help_text="the person's, at that time")
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.ANSWER)
    source = models.UUIDField(help_text="the generation, or other work, that made the call")
    number = models.PositiveSmallIntegerField(help_text="the call's place in that work, from 0")
    model = models.CharField(max_length=64)
    provider = models.CharField(max_length=32)
    input_tokens = models.PositiveIntegerField()
    cache_read_tokens = models.PositiveIntegerField()
    cache_write_tokens = models.PositiveIntegerField()
    output_tokens = models.PositiveIntegerField()
    cost_micros = models.PositiveBigIntegerField(help_text="millionths of a dollar")
    is_metered = models.BooleanField(help_text="the provider's own count, not our estimate")
    ending = models.CharField(max_length=8, help_text="finished, stopped, failed or lost")
    models_asked = models.PositiveSmallIntegerField(
        default=0, help_text="how many different ones; 0 unless this is the work's last call"
    )
    first_token_ms = models.PositiveIntegerField(
        null=True, help_text="from accepted to the first text; of an answer's last call"
    )
    month = models.DateField(help_text="the month whose budget paid, by its first day")
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(
                fields=["source", "purpose", "number"], name="ledger_call_once"
            ),
            models.CheckConstraint(
                condition=models.Q(purpose__in=Purpose.values), name="ledger_purpose"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "month"], name="ledger_of_month"),
            models.Index(fields=["created"], name="ledger_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.source} #{self.number}"

    @property
    def tokens(self) -> int:
        """What counts against the budget."""
        read = self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
        return read + self.output_tokens
