"""Sign-up, sign-in, password reset and sign-out, through the real pages."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.settings.base import PASSWORD_HASHERS
from tests.accounts.signing_in import PASSWORD, Visitor
from tests.factories import make_person

# The API's own thread reads what the pages wrote.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()


def test_a_new_person_signs_up_and_is_in(visitor: Visitor) -> None:
    response = visitor.sign_up("Ada@Example.org")
    assert response.status_code == 302
    assert response["Location"] == "/"
    assert visitor.is_signed_in()
    person = User.objects.get()
    assert person.email == "ada@example.org"
    assert person.wrapped_key


def test_a_password_is_kept_as_an_argon2_hash(visitor: Visitor, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
    visitor.sign_up("ada@example.org")
    person = User.objects.get()
    assert person.password.startswith("argon2$argon2id$")
    assert PASSWORD not in person.password


@pytest.mark.parametrize("password", ["short", "password123", "ada@example.org"])
def test_a_weak_password_is_refused(visitor: Visitor, password: str) -> None:
    assert visitor.sign_up("ada@example.org", password).status_code == 200
    assert not User.objects.exists()
    assert not visitor.is_signed_in()


def test_signing_up_twice_does_not_take_over_the_account(visitor: Visitor) -> None:
    person = make_person(email="ada@example.org", password=PASSWORD)
    visitor.sign_up("ADA@example.org", "another horse battery")
    assert not visitor.is_signed_in()
    assert User.objects.get() == person
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize("email", ["ada@example.org", "ADA@Example.org"])
def test_a_person_signs_in_by_email_in_any_case(visitor: Visitor, email: str) -> None:
    make_person(email="ada@example.org", password=PASSWORD)
    assert visitor.sign_in(email)["Location"] == "/"
    assert visitor.is_signed_in()


def test_a_wrong_password_and_an_unknown_address_look_alike(visitor: Visitor) -> None:
    make_person(email="ada@example.org", password=PASSWORD)
    said = []
    for email in ("ada@example.org", "bob@example.org"):
        response = visitor.sign_in(email, "wrong horse battery")
        assert response.status_code == 200
        said.append(response.context["form"].errors.as_text())
        assert not visitor.is_signed_in()
    assert said[0] == said[1] != ""


def test_guessing_a_password_is_stopped(visitor: Visitor) -> None:
    make_person(email="guessed@example.org", password=PASSWORD)
    for _ in range(12):
        visitor.sign_in("guessed@example.org", "wrong horse battery")
    visitor.sign_in("guessed@example.org")
    assert not visitor.is_signed_in()


def test_an_inactive_person_does_not_get_in(visitor: Visitor) -> None:
    make_person(email="ada@example.org", password=PASSWORD, is_active=False)
    visitor.sign_in("ada@example.org")
    assert not visitor.is_signed_in()


def test_signing_in_changes_the_session_key(visitor: Visitor) -> None:
    make_person(email="ada@example.org", password=PASSWORD)
    # The test client makes a session, and its cookie, when asked for one.
    planted = visitor.http.session.session_key
    visitor.sign_in("ada@example.org")
    assert visitor.is_signed_in()
    assert visitor.http.session.session_key != planted


def test_signing_in_does_not_lead_to_another_site(visitor: Visitor) -> None:
    make_person(email="ada@example.org", password=PASSWORD)
    response = visitor.http.post(
        "/accounts/login/?next=https://evil.example/",
        {"login": "ada@example.org", "password": PASSWORD},
    )
    assert response["Location"] == "/"


def test_signing_out_takes_a_post_and_ends_the_session(visitor: Visitor) -> None:
    visitor.sign_up("ada@example.org")
    assert visitor.http.get("/accounts/logout/").status_code == 200
    assert visitor.is_signed_in()
    assert visitor.post("logout/")["Location"] == "/accounts/login/"
    assert not visitor.is_signed_in()


def test_a_forgotten_password_is_reset_by_mail(visitor: Visitor) -> None:
    make_person(email="ada@example.org", password=PASSWORD)
    other_device = Visitor()
    other_device.sign_in("ada@example.org")
    assert other_device.is_signed_in()

    mail.outbox.clear()
    visitor.post("password/reset/", email="ada@example.org")
    (message,) = mail.outbox
    assert message.to == ["ada@example.org"]
    found = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", str(message.body))
    assert found is not None
    page = visitor.http.get(found[1], follow=True)
    assert page.status_code == 200
    address = page.redirect_chain[-1][0]
    chosen = {"password1": "another horse battery", "password2": "another horse battery"}
    done = visitor.http.post(address, chosen, follow=True)
    assert 'href="/accounts/login/"' in done.content.decode()

    assert not other_device.is_signed_in()
    assert not visitor.sign_in("ada@example.org").get("Location")
    visitor.sign_in("ada@example.org", "another horse battery")
    assert visitor.is_signed_in()

    used = Visitor().http.get(found[1], follow=True)
    assert used.context["token_fail"]
    assert 'href="/accounts/password/reset/"' in used.content.decode()


def test_mail_is_signed_by_the_service_and_its_links_work(
    visitor: Visitor, settings: Settings
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "optional"
    # Nobody else's: an address is sent to once in some minutes, and that outlives a test.
    address = "mail@example.org"
    mail.outbox.clear()
    visitor.sign_up(address)
    visitor.post("logout/")
    visitor.post("password/reset/", email=address)
    confirming, resetting = mail.outbox
    assert confirming.subject == "Confirm your email address"
    assert resetting.subject == "Choose a new password for Parley"
    for message in (confirming, resetting):
        assert str(message.body).rstrip().endswith("Parley\ntestserver")
        assert "&" not in str(message.body)
    found = re.search(r"http://testserver(/accounts/confirm-email/\S+)", str(confirming.body))
    assert found is not None
    assert address in visitor.http.get(found[1]).content.decode()
    visitor.http.post(found[1])
    assert EmailAddress.objects.get(email=address).verified
    assert visitor.http.get("/accounts/confirm-email/none/").status_code == 200


def test_a_reset_for_an_unknown_address_does_not_tell(visitor: Visitor) -> None:
    make_person(email="ada@example.org")
    known = visitor.post("password/reset/", email="ada@example.org")
    unknown = visitor.post("password/reset/", email="nobody@example.org")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])


def test_a_password_is_changed_by_who_knows_it(visitor: Visitor) -> None:
    make_person(email="ada@example.org", password=PASSWORD)
    visitor.sign_in("ada@example.org")
    chosen = {"password1": "another horse battery", "password2": "another horse battery"}
    visitor.post("password/change/", oldpassword="wrong horse battery", **chosen)
    assert User.objects.get().check_password(PASSWORD)
    visitor.post("password/change/", oldpassword=PASSWORD, **chosen)
    assert User.objects.get().check_password("another horse battery")


@pytest.mark.parametrize(
    "page", ["login/", "signup/", "password/reset/", "logout/", "email/", "password/change/"]
)
def test_pages_are_shown_to_who_may_see_them(visitor: Visitor, page: str) -> None:
    if page in {"logout/", "email/", "password/change/"}:
        visitor.sign_up("ada@example.org")
    response = visitor.http.get(f"/accounts/{page}")
    assert response.status_code == 200
    assert "Content-Security-Policy" in response
