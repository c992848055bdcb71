"""The group of moderators: what the migration gives it, and how somebody comes into it."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from chatbot.accounts.models import User
from chatbot.accounts.people import MODERATORS
from chatbot.audit.models import AuditEntry
from tests.desk.conftest import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def make(email: str) -> User:
    call_command("createuser", email, "--moderator", stdout=StringIO())
    return User.objects.get(email=email)


def test_a_moderator_made_on_the_command_line_works_at_the_desk(moderators: None) -> None:
    person = make("moderator@example.org")
    assert (person.is_staff, person.is_superuser) == (True, False)
    assert person.get_all_permissions() == {
        "moderation.view_moderationevent",
        "moderation.change_moderationevent",
        "moderation.view_policyversion",
        "moderation.add_policyversion",
    }
    assert AuditEntry.objects.get().detail == {"plan": "free", "staff": False, "moderator": True}
    page = signed_in(person).get("/admin/").content.decode()
    assert 'href="/admin/moderation/moderationevent/"' in page
    assert "/admin/accounts/user/" not in page


def test_without_the_group_nobody_is_made() -> None:
    Group.objects.filter(name=MODERATORS).delete()
    with pytest.raises(CommandError, match=r"run manage\.py migrate"):
        make("moderator@example.org")
    assert not User.objects.exists()
