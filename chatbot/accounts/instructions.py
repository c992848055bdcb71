"""A person's custom instructions, sealed under their own data key."""

from __future__ import annotations

from chatbot.accounts.models import User

_PLACE = ("accounts_user", "custom_instructions")


def read_instructions(user: User) -> str:
    """Return the custom instructions, "" when there are none. Raises CannotOpen."""
    if user.custom_instructions_sealed is None:
        return ""
    return user.cipher().open(user.custom_instructions_sealed, *_PLACE, str(user.pk))


def write_instructions(user: User, text: str) -> None:
    sealed = user.cipher().seal(text, *_PLACE, str(user.pk)) if text else None
    User.objects.filter(pk=user.pk).update(custom_instructions_sealed=sealed)
    user.custom_instructions_sealed = sealed
