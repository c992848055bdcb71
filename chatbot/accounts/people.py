"""People made outside the sign-up form."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from chatbot.accounts.models import Plan, User

# The group whose members work at the moderators' desk.
MODERATORS = "Moderators"


def create_person(
    email: str, password: str | None, *, plan: Plan = Plan.FREE, staff: bool = False
) -> User:
    """Create a person with a verified address; without a password they use password reset.

    Raises ValidationError for a bad address, a weak password, or an address already in use.
    """
    email = email.strip().lower()
    validate_email(email)
    if password is not None:
        validate_password(password, User(email=email))
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                email, password, plan=plan, is_staff=staff, is_superuser=staff
            )
            EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    except IntegrityError as exc:
        raise ValidationError(f"{email} is already registered.") from exc
    return user


def move_address(user: User) -> None:
    """Let the person's present address, not verified yet, take the place of their main one.

    Whoever has the one before could go on signing in with it, and have the password reset.
    """
    others = EmailAddress.objects.filter(user=user).exclude(email=user.email)
    others.filter(primary=True).delete()
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"primary": True, "verified": False}
    )


def make_moderator(user: User) -> None:
    """Let a person into the moderators' desk. Raises ValidationError where there is no such group."""
    group = Group.objects.filter(name=MODERATORS).first()
    if group is None:
        raise ValidationError(f"There is no group {MODERATORS}: run manage.py migrate.")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    user.groups.add(group)
