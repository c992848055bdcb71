"""The settings modules, imported in a process of their own with an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatbot.core.keyring import new_keyring_text
from chatbot.settings import base
from tests.live import ROOT

COMPLETE = {
    "SECRET_KEY": "a secret for one test, long and varied enough: 8f2K-qpZ7-mLw3-Xv90-bTe1",
    "KEYRING": new_keyring_text(),
    "ALLOWED_HOSTS": "chat.example",
    "DATABASE_URL": "postgres://chat@127.0.0.1:1/chat",
}


def run_manage(
    *arguments: str, settings: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, "DJANGO_SETTINGS_MODULE": f"chatbot.settings.{settings}", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("missing", sorted(COMPLETE))
def test_production_does_not_start_without(missing: str) -> None:
    given = {name: value for name, value in COMPLETE.items() if name != missing}
    done = run_manage("check", settings="prod", **given)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert f"Set {missing}" in last
    for name, value in given.items():
        if name in {"SECRET_KEY", "KEYRING"}:
            assert value not in done.stderr


def test_production_does_not_start_with_a_bad_keyring() -> None:
    done = run_manage("check", settings="prod", **{**COMPLETE, "KEYRING": "k1:c2hvcnQ="})
    assert done.returncode != 0
    assert "KEYRING" in done.stderr
    assert "c2hvcnQ" not in done.stderr


def test_production_passes_djangos_deployment_checks(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(COMPLETE["SECRET_KEY"])
    given = {name: value for name, value in COMPLETE.items() if name != "SECRET_KEY"}
    given |= {"SECRET_KEY_FILE": str(secret), "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = run_manage("check", "--deploy", "--fail-level", "WARNING", settings="prod", **given)
    assert done.returncode == 0, done.stderr


def test_a_cluster_for_the_event_log_alone_is_not_enough() -> None:
    given = {**COMPLETE, "EVENT_LOG_CLUSTER": "redis://127.0.0.1:1", "REDIS_URL": ""}
    done = run_manage("check", settings="prod", **given)
    assert done.returncode != 0
    assert "Set REDIS_URL" in done.stderr.strip().splitlines()[-1]


def test_embedded_mode_starts_with_nothing_given(tmp_path: Path) -> None:
    done = run_manage("check", settings="dev", DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {entry.name for entry in tmp_path.iterdir()} == {"secret.key", "keyring.key"}


def test_sqlite_waits_for_writers_and_erases_what_is_deleted(tmp_path: Path) -> None:
    asked = ("journal_mode", "secure_delete", "synchronous", "foreign_keys")
    code = (
        "import json, sys; from django.db import connection as c; k = c.cursor(); "
        f"sys.stdout.write(json.dumps([k.execute('PRAGMA ' + n).fetchone()[0] for n in {asked}]))"
    )
    done = run_manage("shell", "-v", "0", "-c", code, settings="dev", DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["wal", 1, 1, 1]


def test_passwords_are_hashed_with_argon2() -> None:
    assert base.PASSWORD_HASHERS[0].endswith(".Argon2PasswordHasher")
