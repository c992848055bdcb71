"""The product as its users run it: `manage.py serve` in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import httpx2

from tests.prepared import keep, place_of

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 90.0
# docs/operations.md promises five seconds; other tests may be using the machine.
STOP_TIMEOUT_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_PREPARE = """
import django
django.setup()
from django.core.management import call_command
from chatbot.core.collected import collect_static
call_command("migrate", verbosity=0)
collect_static()
"""
_MAKE_PERSON = """
import sys
import django
django.setup()
from django.core.management import call_command
call_command("createuser", sys.argv[1], stdout=sys.stderr)
call_command("createtoken", sys.argv[1])
"""


_MAKE_SESSIONS = """
import sys
import django
django.setup()
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from chatbot.accounts.people import create_person
password = make_password(sys.argv[1])
for email in sys.argv[2:]:
    person = create_person(email, None)
    person.password = password
    person.save(update_fields=["password"])
    client = Client()
    client.force_login(person)
    print(client.cookies[settings.SESSION_COOKIE_NAME].value)
"""


class ServeProcess:
    """A running server on a data folder of its own; `environment` adds to what it sees.

    Its database is one that has been migrated before, unless it `is_first` to serve there.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        data_dir: Path | None = None,
        is_first: bool = False,
    ) -> None:
        self._own_dir = None if data_dir else tempfile.TemporaryDirectory()
        self.data_dir = data_dir or Path(self._own_dir.name if self._own_dir else "")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "chatbot.settings.dev",
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            # What a scripted model says is shown at once, as it said it.
            "MODERATION_HOLD_BACK": "0",
            # Each process would take a second of the processor to load what its tests do not ask.
            "MODERATION_TIER2": "off",
            **(environment or {}),
        }
        self.log = self.data_dir / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._is_first = is_first

    def __enter__(self) -> ServeProcess:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if self._own_dir is not None:
            self._own_dir.cleanup()

    def launch(self) -> None:
        """Start, and return at once."""
        if not (self._is_first or "DATABASE_URL" in self.environment):
            self._take_what_is_prepared()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _take_what_is_prepared(self) -> None:
        database = self.data_dir / "db.sqlite3"
        if database.exists():
            return
        kept = place_of("serve")
        if not kept.is_dir():
            keep("serve", self._prepare)
        shutil.copytree(kept / "static", self.data_dir / "static", dirs_exist_ok=True)
        shutil.copyfile(kept / database.name, database)

    def _prepare(self, folder: Path) -> None:
        """Make an empty database and what is served as files; secrets are each server's own."""
        environment = {**self.environment, "DATA_DIR": str(folder)}
        subprocess.run([sys.executable, "-c", _PREPARE], cwd=ROOT, env=environment, check=True)

    def start(self) -> None:
        """Start, and return once it is ready to answer. Raises RuntimeError with its log."""
        self.launch()
        self._wait(self._is_ready)

    def wait_for(self, words: str) -> None:
        """Return once its log says this. Raises RuntimeError with the log if it never does."""
        self._wait(lambda: words in self.log.read_text())

    def _wait(self, has_come: Callable[[], bool]) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if has_come():
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"serve did not get there:\n{self.log.read_text()}")

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it with a signal and return its exit status; kills it when it does not go."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def manage(self, *arguments: str, given: str = "") -> str:
        """Run a management command on the same data and return what it printed."""
        return self._run("manage.py", *arguments, given=given)

    def token_for(self, email: str) -> str:
        """Create a person and return a bearer token of theirs."""
        return self._run("-c", _MAKE_PERSON, email)

    def sessions_for(self, emails: Sequence[str], password: str) -> list[str]:
        """Create people and return the session cookie of each, as if they had just signed in."""
        return self._run("-c", _MAKE_SESSIONS, password, *emails).split()

    def _run(self, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


def client_for(server: ServeProcess, email: str) -> httpx2.Client:
    """Return a client of the API, signed in as a new person."""
    token = server.token_for(email)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(
        base_url=f"{server.url}/api/v1", headers=headers, timeout=120, trust_env=False
    )
