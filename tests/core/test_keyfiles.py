from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chatbot.core.keyfiles import read_or_create
from tests.live import ROOT

_READ = """
import sys
from pathlib import Path
from chatbot.core.keyfiles import read_or_create
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
sys.stdout.write(read_or_create(Path(sys.argv[1])))
"""


def test_a_secret_is_made_once_and_read_after(tmp_path: Path) -> None:
    path = tmp_path / "fresh" / "secret.key"
    secret = read_or_create(path)
    assert len(secret) >= 64
    assert read_or_create(path) == secret
    assert read_or_create(tmp_path / "other.key") != secret


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "fresh" / "secret.key"
    mask = os.umask(0)
    try:
        read_or_create(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_given_secret_is_kept_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keyring.key"
    assert read_or_create(path, "k1:first") == "k1:first"
    assert read_or_create(path, "k1:second") == "k1:first"


def test_making_one_says_where_it_is_and_not_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = read_or_create(tmp_path / "secret.key")
    told = capsys.readouterr().err
    assert str(tmp_path / "secret.key") in told
    assert secret not in told


def test_what_a_dead_process_left_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / f".secret.key.{os.getpid()}").touch()
    assert read_or_create(tmp_path / "secret.key")


def test_processes_that_start_at_once_end_with_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _READ, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    secrets = {racer.communicate(timeout=20)[0] for racer in racers}
    assert secrets == {path.read_text()}
    assert len(secrets.pop()) >= 64
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.key"]
