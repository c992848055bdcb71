from __future__ import annotations

import hashlib

import pytest
from django.core import serializers

from chatbot.accounts.models import ApiToken
from chatbot.accounts.tokens import create_token, find_user_by_token
from tests.factories import make_person

pytestmark = pytest.mark.django_db


def test_a_token_finds_its_person() -> None:
    person, other = make_person(), make_person()
    token, others = create_token(person), create_token(other)
    assert find_user_by_token(token) == person
    assert find_user_by_token(others) == other


def test_only_the_hash_of_a_token_is_stored() -> None:
    token = create_token(make_person(), label="laptop")
    row = serializers.serialize("json", ApiToken.objects.all())
    assert token not in row
    assert token.removeprefix("parley_")[:12] not in row
    assert ApiToken.objects.get().digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(ApiToken.objects.get())


def test_tokens_are_long_and_never_repeat() -> None:
    person = make_person()
    tokens = {create_token(person) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= len("parley_") + 43 for token in tokens)


@pytest.mark.parametrize("bad", ["", "parley_", "parley_nothing", "nothing", "parley_\u00e9", "é"])
def test_a_wrong_token_finds_nobody(bad: str) -> None:
    create_token(make_person())
    assert find_user_by_token(bad) is None


def test_the_hash_itself_is_not_a_token() -> None:
    create_token(make_person())
    digest = ApiToken.objects.get().digest
    assert find_user_by_token(digest) is None
    assert find_user_by_token(f"parley_{digest}") is None


def test_an_inactive_persons_token_does_nothing() -> None:
    person = make_person()
    token = create_token(person)
    person.is_active = False
    person.save(update_fields=["is_active"])
    assert find_user_by_token(token) is None


def test_a_deleted_token_does_nothing() -> None:
    token = create_token(make_person())
    ApiToken.objects.all().delete()
    assert find_user_by_token(token) is None
