"""What staff do in the admin, and on the command line, is in the audit log."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.core.management import call_command
from django.test import Client

from chatbot.accounts.models import ApiToken, User
from chatbot.accounts.tokens import create_token
from chatbot.audit.models import AuditEntry
from chatbot.audit.staff import AuditedAdmin
from chatbot.core.readonly import ReadOnlyAdmin
from conversations.models import ModelOverride
from moderation.models import ModerationEvent
from tests.conversations.test_admin import BACKEND
from tests.factories import make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief() -> User:
    return make_person(is_staff=True, is_superuser=True)


@pytest.fixture
def staff(chief: User) -> Client:
    client = Client()
    client.force_login(chief, backend=BACKEND)
    return client


def post(client: Client, address: str, **fields: Any) -> None:
    response = client.post(address, fields)
    assert response.status_code == 302, response.content


def person_fields(person: User, **changes: Any) -> dict[str, Any]:
    fields = {"email": person.email, "plan": person.plan, "is_active": "on"}
    return fields | changes


def entry() -> AuditEntry:
    """Return the only entry."""
    return AuditEntry.objects.get()


def test_a_changed_plan_is_told_with_both_values_and_who_did_it(staff: Client, chief: User) -> None:
    person = make_person()
    post(staff, f"/admin/accounts/user/{person.pk}/change/", **person_fields(person, plan="pro"))
    told = entry()
    assert (told.actor, told.subject) == (f"user:{chief.pk}", f"user:{person.pk}")
    assert (told.action, told.detail) == ("user.changed", {"changes": {"plan": ["free", "pro"]}})


def test_nobody_is_suspended_by_editing_a_date(staff: Client) -> None:
    person = make_person()
    fields = {"suspended_at_0": "2026-11-25", "suspended_at_1": "12:00:00"}
    post(staff, f"/admin/accounts/user/{person.pk}/change/", **person_fields(person, **fields))
    assert entry().detail == {"changes": {}}
    person.refresh_from_db()
    assert not person.is_suspended


def test_nobodys_address_or_password_is_kept(staff: Client) -> None:
    person = make_person()
    fields = person_fields(person, email="elsewhere@example.org")
    post(staff, f"/admin/accounts/user/{person.pk}/change/", **fields)
    new = {"password1": "a-new-and-quiet-word", "password2": "a-new-and-quiet-word"}
    post(staff, f"/admin/accounts/user/{person.pk}/password/", **new)
    post(staff, "/admin/accounts/user/add/", email="new@example.org", plan="free", **new)
    told = list(AuditEntry.objects.order_by("seq"))
    assert [one.action for one in told] == ["user.changed", "user.changed", "user.added"]
    assert told[1].detail == {"changes": {"password": []}}
    said = str([(one.actor, one.subject, one.detail) for one in told])
    assert "@" not in said
    assert "quiet" not in said


def test_a_password_that_is_refused_is_no_change(staff: Client) -> None:
    person = make_person()
    address = f"/admin/accounts/user/{person.pk}/password/"
    response = staff.post(address, {"password1": "one-of-two", "password2": "another"})
    assert response.status_code == 200
    assert not AuditEntry.objects.exists()


def test_a_password_form_that_contradicts_itself_changes_nothing(staff: Client) -> None:
    person = make_person()
    fields = {"password1": "a-new-and-quiet-word", "password2": "a-new-and-quiet-word"}
    # It asks for a password and for none: Django shows the form again, by a redirect.
    fields |= {"usable_password": "false", "set-password": "1"}
    staff.post(f"/admin/accounts/user/{person.pk}/password/", fields)
    assert User.objects.get(pk=person.pk).password == person.password
    assert not AuditEntry.objects.exists()


def test_deleting_is_told_one_by_one_and_many_at_once(staff: Client) -> None:
    people = [make_person() for _ in range(3)]
    post(staff, f"/admin/accounts/user/{people[0].pk}/delete/", post="yes")
    chosen = [str(person.pk) for person in people[1:]]
    post(
        staff,
        "/admin/accounts/user/",
        action="delete_selected",
        _selected_action=chosen,
        post="yes",
    )
    told = AuditEntry.objects.filter(action="user.deleted").values_list("subject", flat=True)
    assert sorted(told) == sorted(f"user:{person.pk}" for person in people)


def test_a_token_that_was_taken_away_is_told(staff: Client) -> None:
    create_token(make_person(), label="laptop")
    token = ApiToken.objects.get()
    post(staff, f"/admin/accounts/apitoken/{token.pk}/delete/", post="yes")
    assert entry().action == "apitoken.deleted"


def test_an_override_is_told(staff: Client) -> None:
    fields = {"name": "smollm2-135m", "answer_tokens": 99, "plans": ["pro"], "note": "slow"}
    post(staff, "/admin/conversations/modeloverride/add/", **fields)
    override = ModelOverride.objects.get()
    assert entry().subject == f"modeloverride:{override.pk}"
    assert entry().detail["changes"]["plans"] == [[], ["pro"]]


def test_the_command_line_is_told() -> None:
    call_command("createuser", "operator@example.org", "--staff", stdout=StringIO())
    call_command("createtoken", "operator@example.org", stdout=StringIO())
    told = AuditEntry.objects.order_by("seq").values_list("actor", "action", "subject")
    subject = f"user:{User.objects.get().pk}"
    assert list(told) == [
        ("command line", "user.added", subject),
        ("command line", "apitoken.added", subject),
    ]


def test_the_log_is_read_in_the_admin_and_changed_by_nobody(staff: Client) -> None:
    call_command("createuser", "operator@example.org", stdout=StringIO())
    told = entry()
    page = staff.get("/admin/audit/auditentry/")
    assert "user.added" in page.content.decode()
    one = f"/admin/audit/auditentry/{told.pk}/"
    assert staff.get(f"{one}change/").status_code == 200
    assert staff.post(f"{one}change/", {"actor": "nobody"}).status_code == 403
    assert staff.post(f"{one}delete/", {"post": "yes"}).status_code == 403
    assert staff.get("/admin/audit/auditentry/add/").status_code == 403


def test_a_second_factor_that_is_taken_away_is_told_with_whose_it_was(staff: Client) -> None:
    person = make_person()
    factor = Authenticator.objects.create(user=person, type="totp", data={"secret": "sealed"})
    page = staff.get(f"/admin/mfa/authenticator/{factor.pk}/change/")
    assert page.status_code == 200
    assert b"sealed" not in page.content
    post(staff, f"/admin/mfa/authenticator/{factor.pk}/delete/", post="yes")
    told = entry()
    assert told.action == "authenticator.deleted"
    assert told.detail == {"user": str(person.pk)}


def test_an_address_that_is_declared_verified_is_told_without_it(staff: Client) -> None:
    person = make_person()
    address = EmailAddress.objects.create(user=person, email="ada@example.org")
    fields = {"user": str(person.pk), "email": "ada@elsewhere.example", "verified": "on"}
    post(staff, f"/admin/account/emailaddress/{address.pk}/change/", **fields)
    assert entry().detail == {"changes": {"email": [], "verified": [False, True]}}


def test_there_is_no_page_where_staff_change_something_unseen() -> None:
    pages = admin.site._registry.items()
    unseen = [model for model, page in pages if not isinstance(page, AuditedAdmin | ReadOnlyAdmin)]
    # Its page writes nothing itself; what is decided there is told by `moderation.deciding`.
    assert unseen == [ModerationEvent]
