"""Starts of `manage.py serve` that come to nothing say why, and what it makes is its owner's."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.provider_process import ScriptedProvider
from tests.live import ROOT, ServeProcess

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


def run_serve(
    data_dir: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; `arguments` are Python's, instead of `manage.py serve`."""
    own = {"DJANGO_SETTINGS_MODULE": "chatbot.settings.dev", "DATA_DIR": str(data_dir)}
    return subprocess.run(
        [sys.executable, *(arguments or ("manage.py", "serve"))],
        cwd=ROOT,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_serve(tmp_path, PORT=str(port))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert f"127.0.0.1:{port}" in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("GENERATION_CONCURRENCY", "0")])
def test_a_bad_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    done = run_serve(tmp_path, **{name: value})
    assert done.returncode != 0
    assert name in done.stderr.strip().splitlines()[-1]


def test_each_fault_of_the_models_file_is_one_clear_line(tmp_path: Path) -> None:
    more = tmp_path / "models.toml"
    more.write_text('[[model]]\nname = "gpt"\n')
    done = run_serve(tmp_path, MODELS_FILE=str(more))
    assert done.returncode != 0
    assert "Models: model 'gpt': has no price" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    done = run_serve(tmp_path, PORT="0", LOCAL_MODEL_URL="", LOCAL_MODEL_FILE="/nonexistent.gguf")
    assert done.returncode == 1
    assert "/nonexistent.gguf" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


# A part that ends of a mistake nobody foresaw.
BREAK = """
import sys
from django.core.management import execute_from_command_line
import django
django.setup()
from conversations import embedded
async def fail(*arguments):
    raise RuntimeError
def fail_at_once(*arguments):
    raise RuntimeError
{broken}
execute_from_command_line(["manage.py", "serve"])
"""


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("embedded.GenerationWorker.run = fail", "generation worker"),
        pytest.param(
            "embedded.release_leases = fail_at_once",
            "start of the embedded server",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "embedded.run_schedule = fail", "runner of periodic tasks", marks=pytest.mark.slow
        ),
    ],
)
def test_a_server_without_one_of_its_parts_ends(
    tmp_path: Path, provider: ScriptedProvider, broken: str, named: str
) -> None:
    environment = {"PORT": "0", "LOCAL_MODEL_URL": provider.url}
    done = run_serve(tmp_path, "-c", BREAK.format(broken=broken), **environment)
    assert done.returncode == 1
    assert f"the {named} stopped" in done.stderr.strip().splitlines()[-1]


def test_ctrl_c_before_it_serves_is_one_line(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "PORT": "0",
        "MODEL_CACHE_DIR": str(cache),
        "LOCAL_MODEL_URL": "",
    }
    with (cache / ".lock").open("wb") as lock:
        # Another process fetches the model, as it seems, and takes its time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith("Waiting for another process")
            process.send_signal(signal.SIGINT)
            complaints = process.stderr.read()
    assert process.returncode == 130
    assert complaints.strip().splitlines()[-1] == "Stopped before it served."
    assert "Traceback" not in complaints


def test_what_an_older_version_left_open_is_closed_to_others(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    folder = tmp_path / "data"
    server = ServeProcess({"LOCAL_MODEL_URL": provider.url}, data_dir=folder)
    folder.mkdir()
    server.log.touch(0o644)
    database = folder / "db.sqlite3"
    sqlite3.connect(database).close()
    database.chmod(0o644)
    folder.chmod(0o755)
    with server:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        # Django opens what it collects, and anybody may have that.
        made = [path for path in folder.iterdir() if path != server.log]
        assert {"db.sqlite3", "db.sqlite3-wal", "static"} <= {path.name for path in made}
        assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_two_servers_do_not_share_a_data_folder(live: ServeProcess) -> None:
    done = run_serve(live.data_dir, PORT="0", LOCAL_MODEL_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "already running" in done.stderr


def test_secrets_are_made_for_their_owner_only(live: ServeProcess) -> None:
    for name in ("secret.key", "keyring.key"):
        assert stat.S_IMODE((live.data_dir / name).stat().st_mode) == 0o600
        assert live.log.read_text().count(f"Made {live.data_dir / name}") == 1
