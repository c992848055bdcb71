"""The pages that are not the API: the chat's shell, and what is not there."""

from __future__ import annotations

import pytest
from django.test import Client

from chatbot.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

A_CONVERSATION = "/c/0198c0de-0000-7000-8000-000000000001/"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def visitor(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


@pytest.mark.parametrize("path", ["/", A_CONVERSATION])
def test_the_chat_is_for_those_who_signed_in(path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", ["/", A_CONVERSATION])
def test_the_shell_names_its_owner_and_no_cache_keeps_it(
    visitor: Client, user: User, path: str
) -> None:
    response = visitor.get(path)
    assert response.status_code == 200
    assert user.email in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    # The modules send it back with every change.
    assert "csrftoken" in response.cookies


def test_the_shell_runs_no_script_but_its_own_files(visitor: Client) -> None:
    response = visitor.get("/")
    policy = response["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert " onclick=" not in response.content.decode()


@pytest.mark.parametrize("path", ["/nothing", "/c/not-an-id/", "/accounts/nothing/"])
def test_what_is_not_there_is_said_on_a_page_of_our_own(visitor: Client, path: str) -> None:
    response = visitor.get(path)
    assert response.status_code == 404
    page = response.content.decode()
    assert "Nothing is here" in page
    assert 'href="/"' in page
    assert response["Content-Type"].startswith("text/html")


def test_the_page_of_an_address_that_is_not_there_needs_no_account() -> None:
    assert "Nothing is here" in Client().get("/nothing").content.decode()
