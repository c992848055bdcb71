"""The pages that are not the API: the chat's shell, and what is not there."""

from __future__ import annotations

import pytest
from django.test import Client

from chatbot.accounts.models import User
from chatbot.accounts.suspensions import (
    decide_appeal,
    lift,
    list_open_appeals,
    read_appeal,
    suspend,
    warn,
)
from tests.factories import make_person

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


def test_a_suspended_person_sees_why_and_appeals_on_a_page_of_its_own(
    visitor: Client, user: User
) -> None:
    suspend(user.pk, by="system", reason="Threats <again>.", until=None)
    shown = visitor.get("/")
    assert shown.status_code == 403
    page = shown.content.decode()
    assert "Threats &lt;again&gt;." in page
    assert "until a moderator lifts it" in page
    assert visitor.post("/appeal/", {"text": "  "}).status_code == 403
    assert not list_open_appeals()
    assert visitor.post("/appeal/", {"text": "It was\r\na quotation."}).status_code == 302
    (made,) = list_open_appeals()
    assert read_appeal(made) == "It was\na quotation."
    assert "was received" in visitor.get("/").content.decode()
    assert visitor.post("/appeal/", {"text": "Again."}).status_code == 302
    answer = "It was no quotation."
    decide_appeal(made.pk, by="user:moderator", is_granted=False, answer=answer)
    assert answer in visitor.get("/").content.decode()
    lift(made.pk, by="user:moderator", note="After all.")
    assert visitor.get("/").status_code == 200
    assert visitor.post("/appeal/", {"text": "Thanks."}).status_code == 302


def test_an_appeal_that_cannot_be_sealed_is_given_back(visitor: Client, user: User) -> None:
    suspend(user.pk, by="system", reason="Threats.", until=None)
    User.objects.filter(pk=user.pk).update(wrapped_key=b"lost")
    response = visitor.post("/appeal/", {"text": "It was a quotation."})
    assert response.status_code == 503
    page = response.content.decode()
    assert "could not be kept just now" in page
    assert "It was a quotation.</textarea>" in page
    assert not list_open_appeals()


def test_whoever_is_suspended_can_sign_in_to_see_it() -> None:
    person = make_person(password="correct horse battery")
    suspend(person.pk, by="system", reason="Threats.", until=None)
    client = Client()
    entered = {"login": person.email, "password": "correct horse battery"}
    client.post("/accounts/login/", entered)
    assert "Threats." in client.get("/").content.decode()


def test_a_warning_stands_on_the_page_until_it_is_understood(visitor: Client, user: User) -> None:
    warning = warn(user.pk, by="user:moderator", text="Please do not.")
    assert "Please do not." in visitor.get("/").content.decode()
    path = f"/warnings/{warning.pk}/seen/"
    for came_from, leads_to in (
        ("http://testserver/c/0198c0de-0000-7000-8000-000000000001/",) * 2,
        ("https://evil.example/", "/"),
        ("", "/"),
    ):
        assert visitor.post(path, headers={"Referer": came_from})["Location"] == leads_to
    assert "Please do not." not in visitor.get("/").content.decode()
    nobodys = "/warnings/0198c0de-0000-7000-8000-000000000001/seen/"
    assert visitor.post(nobodys).status_code == 302
