"""Wrapping every data key by the keyring's first key, so that an old one has nothing to open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import Model, QuerySet

from chatbot.accounts.mfa import rewrap_secrets
from chatbot.accounts.models import User
from chatbot.core.conf import get_keyring
from chatbot.core.crypto import CannotOpen, rewrap_key
from conversations.models import Conversation
from conversations.sealing import report_unreadable
from moderation.models import ModerationEvent, ModerationOutbox
from moderation.recording import KEY_OWNER

AT_ONCE = 500


class Outcome(StrEnum):
    KEPT = "under the first key already"
    WRAPPED = "wrapped anew"
    UNREADABLE = "cannot be opened"


@dataclass(frozen=True, slots=True)
class Keys:
    """The rows of one kind, and how the key of one is wrapped anew (False: it need not be)."""

    name: str
    rows: QuerySet[Any]
    rewrap: Callable[[Any], bool]


def list_keys(*, is_rehearsal: bool = False) -> list[Keys]:
    """Return all that the keyring opens; in a rehearsal nothing is written.

    Notes stand before the events that are made from them with the same key.
    """
    owned: list[tuple[str, type[Model], str]] = [
        ("people", User, "user"),
        ("conversations", Conversation, "conversation"),
        ("moderation notes", ModerationOutbox, KEY_OWNER),
        ("moderation events", ModerationEvent, KEY_OWNER),
    ]
    keys = [
        Keys(name, model._default_manager.all(), partial(_rewrap_row, model, owner, is_rehearsal))
        for name, model, owner in owned
    ]
    factors = partial(_rewrap_factor, is_rehearsal)
    return [*keys, Keys("second factors", Authenticator.objects.all(), factors)]


def rewrap(keys: Keys) -> Iterator[Outcome]:
    """Wrap one key after the other, and yield what became of each.

    May be stopped and run again, and run beside the service.
    """
    after: Any = None
    while True:
        rows = keys.rows.order_by("pk")
        some = list(
            (rows.filter(pk__gt=after) if after else rows).values_list("pk", flat=True)[:AT_ONCE]
        )
        if not some:
            return
        for identity in some:
            try:
                yield Outcome.WRAPPED if keys.rewrap(identity) else Outcome.KEPT
            except CannotOpen as exc:
                report_unreadable(f"the key of {keys.name} {identity}", exc)
                yield Outcome.UNREADABLE
        after = some[-1]


def _rewrap_row(model: type[Model], owner: str, is_rehearsal: bool, identity: UUID) -> bool:
    with transaction.atomic():
        row = model._default_manager.filter(pk=identity)
        wrapped = row.select_for_update().values_list("wrapped_key", flat=True).first()
        # Deleted meanwhile, or a person made by hand, who gets a key when one is needed.
        if not wrapped:
            return False
        anew = rewrap_key(get_keyring(), wrapped, owner, str(identity))
        if anew is not None and not is_rehearsal:
            row.update(wrapped_key=anew)
        return anew is not None


def _rewrap_factor(is_rehearsal: bool, identity: int) -> bool:
    with transaction.atomic():
        # Using a recovery code writes the same column.
        factor = Authenticator.objects.select_for_update().filter(pk=identity).first()
        anew = rewrap_secrets(factor.data) if factor else None
        if factor is None or anew is None:
            return False
        if not is_rehearsal:
            factor.data = anew
            factor.save(update_fields=["data"])
        return True
