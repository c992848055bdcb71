from __future__ import annotations

import pytest
from pytest_django import Settings

from chatbot.accounts.instructions import read_instructions, write_instructions
from chatbot.accounts.models import User
from chatbot.core.crypto import CannotOpen
from chatbot.core.keyring import new_keyring_text
from tests.factories import make_person

pytestmark = pytest.mark.django_db

WORDS = "Always answer in rhyme."


def test_instructions_are_kept_sealed() -> None:
    person = make_person()
    assert read_instructions(person) == ""
    write_instructions(person, WORDS)
    kept = User.objects.get(pk=person.pk)
    assert read_instructions(kept) == WORDS
    assert WORDS.encode() not in bytes(kept.custom_instructions_sealed)


def test_instructions_can_be_taken_away() -> None:
    person = make_person()
    write_instructions(person, WORDS)
    write_instructions(person, "")
    assert read_instructions(person) == ""
    assert User.objects.get(pk=person.pk).custom_instructions_sealed is None


def test_another_persons_instructions_do_not_open() -> None:
    person, other = make_person(), make_person()
    write_instructions(person, WORDS)
    other.custom_instructions_sealed = person.custom_instructions_sealed
    with pytest.raises(CannotOpen):
        read_instructions(other)
    other.wrapped_key = person.wrapped_key
    with pytest.raises(CannotOpen):
        read_instructions(other)


def test_after_a_rotation_the_instructions_still_open(settings: Settings) -> None:
    person = make_person()
    write_instructions(person, WORDS)
    settings.KEYRING = f"{new_keyring_text('next')},{settings.KEYRING}"
    assert read_instructions(User.objects.get(pk=person.pk)) == WORDS
    assert b"next" in make_person().wrapped_key

    settings.KEYRING = new_keyring_text("next")
    with pytest.raises(CannotOpen):
        read_instructions(User.objects.get(pk=person.pk))
