from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from chatbot.accounts.models import User
from chatbot.accounts.people import make_moderator
from tests.conversations.test_admin import BACKEND
from tests.factories import make_person


@pytest.fixture
def moderators(db: None) -> None:
    """The group as the migration makes it: other tests empty all tables."""
    import_module("chatbot.desk.migrations.0001_moderators").make_group(apps, connection)


def new_moderator() -> User:
    person = make_person()
    make_moderator(person)
    return person


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person, backend=BACKEND)
    return client


@pytest.fixture
def moderator(moderators: None) -> User:
    return new_moderator()


@pytest.fixture
def desk(moderator: User) -> Client:
    """The desk as a moderator's browser sees it."""
    return signed_in(moderator)


@pytest.fixture
def person(db: None) -> User:
    return make_person()
