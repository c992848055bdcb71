from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from chatbot.accounts.models import ApiToken, User
from chatbot.accounts.tokens import find_user_by_token
from tests.factories import make_person

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


def run(*arguments: str, **options: Any) -> str:
    printed = io.StringIO()
    call_command(*arguments, stdout=printed, **options)
    return printed.getvalue().strip()


def create(monkeypatch: pytest.MonkeyPatch, *arguments: str, password: str = PASSWORD) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    return run("createuser", *arguments, "--password-stdin")


def test_a_person_can_be_created(monkeypatch: pytest.MonkeyPatch) -> None:
    said = create(monkeypatch, "Ada@Example.org")
    assert said == "Created ada@example.org (plan free)."
    assert PASSWORD not in said
    person = User.objects.get()
    assert person.check_password(PASSWORD)
    assert not person.is_staff


def test_without_a_terminal_no_password_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    run("createuser", "ada@example.org", "--plan", "pro")
    person = User.objects.get()
    assert not person.has_usable_password()
    assert person.plan == "pro"


@pytest.mark.parametrize("email", ["ada", "ada@", ""])
def test_a_bad_address_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, email: str) -> None:
    with pytest.raises(CommandError, match="valid email") as caught:
        create(monkeypatch, email)
    assert "\n" not in str(caught.value)


def test_an_address_in_another_case_is_already_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    create(monkeypatch, "ada@example.org")
    with pytest.raises(CommandError, match="already registered"):
        create(monkeypatch, "ADA@example.org")


@pytest.mark.parametrize("password", ["xk9#q", "password123", "ada@example.org"])
def test_a_weak_password_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    with pytest.raises(CommandError) as caught:
        create(monkeypatch, "ada@example.org", password=password)
    assert password not in str(caught.value)
    assert not User.objects.exists()


def test_an_unknown_plan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="gold"):
        create(monkeypatch, "ada@example.org", "--plan", "gold")


def test_staff_can_enter_the_admin(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    said = create(monkeypatch, "ada@example.org", "--staff")
    assert said == "Created ada@example.org (staff, plan free)."
    client.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/accounts/user/").status_code == 200


def test_others_cannot_enter_the_admin(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    create(monkeypatch, "ada@example.org")
    client.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert client.get("/admin/accounts/user/").status_code != 200


def test_a_printed_token_works_and_only_its_hash_is_kept() -> None:
    person = make_person(email="ada@example.org")
    token = run("createtoken", "ADA@example.org", "--label", "laptop")
    assert len(token.split()) == 1
    assert find_user_by_token(token) == person
    kept = ApiToken.objects.get()
    assert kept.label == "laptop"
    assert token not in (kept.digest, kept.label)


def test_a_token_for_nobody_is_one_clear_line() -> None:
    with pytest.raises(CommandError, match=r"Nobody is registered as ada@example\.org"):
        run("createtoken", "ada@example.org")


def test_an_inactive_person_gets_no_token() -> None:
    make_person(email="ada@example.org", is_active=False)
    with pytest.raises(CommandError):
        run("createtoken", "ada@example.org")


@pytest.mark.parametrize(
    ("command", "database"),
    [
        ("createuser ada@example.org", ""),
        ("verify_audit", ""),
        ("checkbudgets", "postgres://nobody@127.0.0.1:1/nothing"),
    ],
)
def test_without_a_database_or_its_tables_one_line_says_what_to_do(
    command: str, database: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command.split()],
        env=os.environ | {"DATA_DIR": str(tmp_path), "DATABASE_URL": database},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "manage.py migrate" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
