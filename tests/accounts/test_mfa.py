"""Two-factor sign-in, through the real pages, with the secret sealed in the database."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from pytest_django import Settings

from chatbot.accounts.mfa import SealedSecretsAdapter
from chatbot.accounts.models import User
from chatbot.accounts.people import create_person
from chatbot.core.crypto import CannotOpen
from chatbot.core.keyring import new_keyring_text
from tests.accounts.signing_in import PASSWORD, Visitor

pytestmark = pytest.mark.django_db(transaction=True)

STEP_S = 30
NOW = 1_800_000_000


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code made here is still good when it arrives."""
    clock = SimpleNamespace(time=lambda: NOW)
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.time", clock)


def code_for(secret: str, *, steps: int = 0) -> str:
    counter = NOW // STEP_S + steps
    return str(format_hotp_value(hotp_value(secret, counter)))


def wrong_code_for(secret: str) -> str:
    """Return a code that is none of those near the present."""
    near = {code_for(secret, steps=steps) for steps in range(-4, 5)}
    return next(code for code in map("{:06d}".format, range(10)) if code not in near)


@pytest.fixture
def person() -> User:
    # With a verified address, which two-factor sign-in asks for.
    return create_person("ada@example.org", PASSWORD)


@pytest.fixture
def secret(person: User) -> str:
    """Switch two-factor sign-in on and return its secret."""
    visitor = Visitor()
    visitor.sign_in(person.email)
    visitor.confirm_password()
    page = visitor.http.get("/accounts/2fa/totp/activate/")
    assert page.status_code == 200
    found = str(page.context["form"].secret)
    assert visitor.post("2fa/totp/activate/", code=code_for(found)).status_code == 302
    return found


def test_the_secret_is_sealed_in_the_database(secret: str) -> None:
    kept = Authenticator.objects.get(type=Authenticator.Type.TOTP)
    assert secret not in json.dumps(kept.data)
    assert get_adapter().decrypt(kept.data["secret"]) == secret


def test_recovery_codes_are_sealed_too(secret: str) -> None:
    kept = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES)
    codes = kept.wrap().get_unused_codes()
    assert len(codes) >= 8
    stored = json.dumps(kept.data)
    assert not any(code in stored for code in codes)
    assert get_adapter().decrypt(kept.data["seed"]) not in stored


def test_switching_it_on_asks_for_the_password_again(person: User) -> None:
    visitor = Visitor()
    visitor.sign_in(person.email)
    page = visitor.http.get("/accounts/2fa/totp/activate/")
    assert page["Location"].startswith("/accounts/reauthenticate/")
    assert visitor.http.get(page["Location"]).status_code == 200


def test_a_wrong_code_does_not_switch_it_on(person: User) -> None:
    visitor = Visitor()
    visitor.sign_in(person.email)
    visitor.confirm_password()
    found = str(visitor.http.get("/accounts/2fa/totp/activate/").context["form"].secret)
    visitor.post("2fa/totp/activate/", code=wrong_code_for(found))
    assert not Authenticator.objects.exists()


def test_the_password_alone_is_no_longer_enough(person: User, secret: str) -> None:
    visitor = Visitor()
    assert visitor.sign_in(person.email)["Location"] == "/accounts/2fa/authenticate/"
    assert not visitor.is_signed_in()
    assert visitor.http.get("/accounts/2fa/authenticate/").status_code == 200
    visitor.post("2fa/authenticate/", code=wrong_code_for(secret))
    assert not visitor.is_signed_in()


def test_password_and_code_together_let_in(person: User, secret: str) -> None:
    visitor = Visitor()
    visitor.sign_in(person.email)
    assert visitor.post("2fa/authenticate/", code=code_for(secret))["Location"] == "/"
    assert visitor.is_signed_in()


def test_a_code_is_good_once(person: User, secret: str) -> None:
    code = code_for(secret)
    first, second = Visitor(), Visitor()
    for visitor in (first, second):
        visitor.sign_in(person.email)
        visitor.post("2fa/authenticate/", code=code)
    assert first.is_signed_in()
    assert not second.is_signed_in()


def test_a_recovery_code_lets_in_once(person: User, secret: str) -> None:
    kept = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES)
    code = kept.wrap().get_unused_codes()[0]
    first, second = Visitor(), Visitor()
    for visitor in (first, second):
        visitor.sign_in(person.email)
        visitor.post("2fa/authenticate/", code=code)
    assert first.is_signed_in()
    assert not second.is_signed_in()


def test_the_admin_has_no_sign_in_page_that_skips_the_code(person: User, secret: str) -> None:
    User.objects.filter(pk=person.pk).update(is_staff=True, is_superuser=True)
    visitor = Visitor()
    fields = {"username": person.email, "password": PASSWORD, "next": "/admin/"}
    visitor.http.post("/admin/login/", fields)
    assert not visitor.is_signed_in()
    assert (
        visitor.http.get("/admin/", follow=True)
        .redirect_chain[-1][0]
        .startswith("/accounts/login/")
    )


def test_after_a_rotation_the_codes_still_work(
    person: User, secret: str, settings: Settings
) -> None:
    settings.KEYRING = f"{new_keyring_text('next')},{settings.KEYRING}"
    visitor = Visitor()
    visitor.sign_in(person.email)
    visitor.post("2fa/authenticate/", code=code_for(secret))
    assert visitor.is_signed_in()


@pytest.mark.parametrize("spoilt", ["", "nothing sealed", "AA==.AA==", "a.b.c", "é.é"])
def test_what_is_not_a_sealed_secret_does_not_open(spoilt: str) -> None:
    with pytest.raises(CannotOpen):
        SealedSecretsAdapter().decrypt(spoilt)


@pytest.mark.parametrize("page", ["2fa/", "2fa/recovery-codes/", "2fa/totp/deactivate/"])
def test_its_pages_are_shown(person: User, secret: str, page: str) -> None:
    visitor = Visitor()
    visitor.sign_in(person.email)
    visitor.post("2fa/authenticate/", code=code_for(secret))
    visitor.confirm_password()
    assert visitor.http.get(f"/accounts/{page}").status_code == 200
