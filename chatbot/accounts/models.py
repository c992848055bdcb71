"""People, their tokens for the API, and what they may spend in a month."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

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
    suspended_at = models.DateTimeField(null=True, blank=True)
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

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None

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
