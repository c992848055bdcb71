"""The admin's page of a person."""

from __future__ import annotations

import pytest
from django.test import Client

from chatbot.accounts.suspensions import suspend, warn
from tests.conversations.test_admin import BACKEND
from tests.factories import make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(make_person(is_staff=True, is_superuser=True), backend=BACKEND)
    return client


def test_it_says_why_somebody_was_suspended_and_what_they_were_warned_of(staff: Client) -> None:
    person = make_person()
    suspend(person.pk, by="system", reason="Threats <again>", until=None)
    warn(person.pk, by="system", text="Please be kind.")
    page = staff.get(f"/admin/accounts/user/{person.pk}/change/").content.decode()
    assert "UTC: Threats &lt;again&gt; (until it is lifted)" in page
    assert "UTC: Please be kind. (not seen)" in page
