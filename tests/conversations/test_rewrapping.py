"""Rotating the keyring: what an old key opened the new one opens alone."""

from __future__ import annotations

from io import StringIO

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from chatbot.core.crypto import CannotOpen
from chatbot.core.keyring import new_keyring_text
from conversations import rewrapping
from conversations.models import Conversation
from conversations.sealing import open_cipher, open_column
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def rings(settings: Settings) -> dict[str, str]:
    """Return keyrings by what is in them; the first holds now."""
    old, new = new_keyring_text("old"), new_keyring_text("new")
    settings.KEYRING = old
    return {"both": f"{new},{old}", "new": new, "old": old}


@pytest.fixture
def person(rings: dict[str, str]) -> User:
    """Return somebody with a conversation and a second factor."""
    user = make_person()
    make_conversation(user, title="Bread")
    data = {"seed": get_adapter().encrypt("a seed"), "used_mask": 3}
    kind = Authenticator.Type.RECOVERY_CODES
    Authenticator.objects.create(user=user, type=kind, data=data)
    return user


def rewrap(*arguments: str) -> str:
    said = StringIO()
    call_command("rewrapkeys", *arguments, stdout=said)
    return said.getvalue()


def read() -> list[str]:
    User.objects.get().cipher()
    conversation = Conversation.objects.earliest("pk")
    seed: str = get_adapter().decrypt(Authenticator.objects.get().data["seed"])
    return [open_column(open_cipher(conversation), conversation, "title"), seed]


def test_after_rewrapping_the_new_key_opens_everything_alone(
    settings: Settings, rings: dict[str, str], person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "AT_ONCE", 1)
    make_conversation(person)
    settings.KEYRING = rings["both"]
    said = rewrap()
    assert "conversations: 2 wrapped anew" in said
    assert "second factors: 1 wrapped anew" in said
    settings.KEYRING = rings["new"]
    assert read() == ["Bread", "a seed"]
    assert Authenticator.objects.get().data["used_mask"] == 3
    entry = AuditEntry.objects.get(action="keys.rewrapped")
    assert (entry.subject, entry.detail) == ("keyring.new", {"keys": 4})


def test_a_second_run_finds_nothing_to_do(
    settings: Settings, rings: dict[str, str], person: User
) -> None:
    settings.KEYRING = rings["both"]
    rewrap()
    assert "wrapped anew" not in rewrap()
    assert AuditEntry.objects.filter(action="keys.rewrapped").count() == 1


def test_a_rehearsal_counts_and_writes_nothing(
    settings: Settings, rings: dict[str, str], person: User
) -> None:
    settings.KEYRING = rings["both"]
    assert "people: 1 wrapped anew" in rewrap("--dry-run")
    settings.KEYRING = rings["old"]
    assert read() == ["Bread", "a seed"]
    assert not AuditEntry.objects.filter(action="keys.rewrapped").exists()


def test_a_run_that_is_stopped_says_what_it_wrapped(
    settings: Settings, rings: dict[str, str], person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEYRING = rings["both"]

    def stop(*_: object) -> bool:
        raise KeyboardInterrupt

    # The last kind of all: people and conversations are done by then.
    monkeypatch.setattr(rewrapping, "_rewrap_factor", stop)
    with pytest.raises(KeyboardInterrupt):
        rewrap()
    assert AuditEntry.objects.get(action="keys.rewrapped").detail == {"keys": 2}


def test_what_cannot_be_opened_is_left_and_told(
    settings: Settings, rings: dict[str, str], person: User
) -> None:
    before = Conversation.objects.get().wrapped_key
    settings.KEYRING = rings["new"]
    with pytest.raises(CommandError, match="3 keys cannot be opened"):
        rewrap()
    assert Conversation.objects.get().wrapped_key == before
    with pytest.raises(CannotOpen):
        read()
