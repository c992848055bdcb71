"""The admin's page of a person."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.test import Client

from chatbot.accounts.models import User
from chatbot.accounts.people import create_person
from chatbot.accounts.suspensions import suspend, warn
from tests.conversations.test_admin import BACKEND
from tests.factories import make_person

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(make_person(is_staff=True, is_superuser=True), backend=BACKEND)
    return client


def send(client: Client, address: str, **fields: Any) -> None:
    response = client.post(f"/admin/accounts/user/{address}", fields)
    assert response.status_code == 302, response.content


def change_address(client: Client, person: User, email: str) -> None:
    send(client, f"{person.pk}/change/", email=email, plan=person.plan, is_active="on")


def may_sign_in(email: str) -> bool:
    response = Client().post("/accounts/login/", {"login": email, "password": PASSWORD})
    return response.status_code == 302


def test_it_says_why_somebody_was_suspended_and_what_they_were_warned_of(staff: Client) -> None:
    person = make_person()
    suspend(person.pk, by="system", reason="Threats <again>", until=None)
    warn(person.pk, by="system", text="Please be kind.")
    page = staff.get(f"/admin/accounts/user/{person.pk}/change/").content.decode()
    assert "UTC: Threats &lt;again&gt; (until it is lifted)" in page
    assert "UTC: Please be kind. (not seen)" in page


def test_who_is_added_signs_in_however_their_address_was_typed(staff: Client) -> None:
    fields = {"password1": PASSWORD, "password2": PASSWORD, "plan": "free"}
    send(staff, "add/", email="Ada@Example.ORG", **fields)
    assert User.objects.filter(email="ada@example.org").exists()
    assert may_sign_in("ada@example.org")
    assert may_sign_in("Ada@Example.ORG")


def test_an_address_that_was_changed_opens_nothing_any_more(staff: Client) -> None:
    person = create_person("old@example.org", PASSWORD)
    change_address(staff, person, "New@example.org")
    assert not may_sign_in("old@example.org")
    assert may_sign_in("new@example.org")
    Client().post("/accounts/password/reset/", {"email": "old@example.org"})
    assert not any("/accounts/password/reset/key/" in str(one.body) for one in mail.outbox)
