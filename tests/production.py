"""The product in production mode on the loopback: every process real, and in the test's hand.

with running_production(webs=2, workers=1) as production:
    tokens = production.make_people("load", 100)
    production.webs[0].kill9()
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.provider_process import ScriptedProvider
from tests.prepared import keep, place_of
from tests.processes import ROOT, Process, free_port
from tests.stores import Postgres, Valkey

DRAIN_S = "5"
# What a worker says once it takes answers.
READY_WORDS = b"writes up to"

_PREPARE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
"""
_MAKE_PEOPLE = """
import json, sys
import django
django.setup()
from chatbot.accounts.people import create_person
from chatbot.accounts.tokens import create_token
emails = [f"NAME-{number}@people.example" for number in range(COUNT)]
sys.stdout.write(json.dumps([create_token(create_person(email, None)) for email in emails]))
"""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    """Say whether a GET is answered with 200."""
    try:
        with _opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class Web(Process):
    """One web process; `url` is where it serves."""

    def __init__(self, name: str, *, folder: Path, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "uvicorn", "chatbot.asgi:application"]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--loop", "asyncio"]
        command += ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false"]
        command += ["--no-proxy-headers", "--ws-max-size", "524288"]
        command += ["--timeout-graceful-shutdown", DRAIN_S, "--timeout-keep-alive", "75"]
        command += ["--no-access-log", "--log-level", "warning"]
        super().__init__(
            name,
            command,
            log=folder / f"{name}.log",
            environment=environment,
            is_ready=lambda: answers(f"{self.url}/healthz"),
        )


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """What a generation worker is started as, and what its environment holds besides."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


PLAIN_WORKER = WorkerCommand(("manage.py", "rungenerations"))


class Worker(Process):
    """One generation worker; it is ready when it says so in its log."""

    def __init__(
        self,
        name: str,
        *,
        folder: Path,
        environment: Mapping[str, str],
        concurrency: int,
        started: WorkerCommand,
    ) -> None:
        command = [sys.executable, *started.arguments, "--concurrency", str(concurrency)]
        super().__init__(
            name,
            command,
            log=folder / f"{name}.log",
            environment={**environment, **started.environment},
            is_ready=self._has_said_so,
        )
        self._said_before = 0

    def launch(self) -> None:
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        super().launch()

    def _has_said_so(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            return READY_WORDS in log.read()


class Production:
    """All processes of one deployment; none runs before `start_stores` and `start_servers`.

    What a process sees can be changed in its `environment` before it starts, for instance to
    put a proxy between it and a store.
    """

    def __init__(
        self,
        folder: Path,
        provider_url: str,
        *,
        webs: int = 1,
        workers: int = 1,
        concurrency: int = 50,
        is_hosted: bool = False,
        environment: Mapping[str, str] | None = None,
        worker: WorkerCommand = PLAIN_WORKER,
    ) -> None:
        self.postgres = Postgres(folder / "postgres")
        self.valkey = Valkey(folder / "valkey")
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "chatbot.settings.prod",
            "PYTHONUNBUFFERED": "1",
            "SECRET_KEY": "made up for a deployment that lives as long as its test 0123456789",
            "KEYRING": "made-up:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE_SSL_REDIRECT": "false",
            "DATA_DIR": str(folder),
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "ANTHROPIC_API_KEY": "",
            "LOCAL_MODEL_URL": provider_url,
            "LOCAL_MODEL_API_KEY": "scripted",
            **(_hosted_by(provider_url) if is_hosted else {}),
            "FREE_SENDS_PER_MINUTE": "1000000",
            "FREE_SENDS_PER_DAY": "1000000",
            "REQUESTS_PER_MINUTE": "1000000",
            "FREE_BUDGET_TOKENS": str(10**12),
            "LOG_LEVEL": "WARNING",
            # What a scripted model says is shown at once, as it said it.
            "MODERATION_HOLD_BACK": "0",
            # A second of the processor for each start, for what these tests do not ask.
            "MODERATION_TIER2": "off",
            **(environment or {}),
        }
        self.webs = [
            Web(f"web{number}", folder=folder, environment=self.environment)
            for number in range(webs)
        ]
        self.workers = [
            Worker(
                f"worker{number}",
                folder=folder,
                environment=self.environment,
                concurrency=concurrency,
                started=worker,
            )
            for number in range(workers)
        ]

    @property
    def servers(self) -> list[Process]:
        return [*self.webs, *self.workers]

    def start_stores(self) -> None:
        """Start the stores, and fill them with what the product needs before it starts."""
        self.postgres.create()
        self.postgres.start()
        self.valkey.start()
        self._prepare()

    def _prepare(self) -> None:
        """Migrate and collect files, or take both from whoever did so last on this machine."""
        kept = place_of("production")
        static = Path(self.environment["DATA_DIR"]) / "static"
        if kept.is_dir():
            self.postgres.load(kept / "dump.sql")
            shutil.copytree(kept / "static", static)
            return
        self.run_python(_PREPARE)

        def fill(made: Path) -> None:
            shutil.copytree(static, made / "static")
            (made / "dump.sql").write_bytes(self.postgres.dump())

        keep("production", fill)

    def start_servers(self) -> None:
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait_until_ready()

    def stop(self) -> None:
        """End everything, in whatever state it is."""
        for server in self.servers:
            server.kill9()
        self.valkey.kill9()
        if self.postgres.is_alive:
            self.postgres.kill()

    def make_people(self, name: str, count: int) -> list[str]:
        """Create accounts and return their bearer tokens."""
        code = _MAKE_PEOPLE.replace("NAME", name).replace("COUNT", str(count))
        tokens: list[str] = json.loads(self.run_python(code))
        return tokens

    def run_python(self, code: str) -> str:
        """Run code with the product's settings, past every proxy; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"A management process failed:\n{done.stderr}")
        return done.stdout


@contextmanager
def running_production(
    *,
    webs: int = 1,
    workers: int = 1,
    concurrency: int = 50,
    is_hosted: bool = False,
    environment: Mapping[str, str] | None = None,
    provider_arguments: tuple[str, ...] = (),
    worker: WorkerCommand = PLAIN_WORKER,
) -> Iterator[tuple[Production, ScriptedProvider]]:
    """Yield a deployment that is ready to answer, and the provider that its answers come from.

    One that `is_hosted` answers for the shipped Claude models, and otherwise for the local one.
    """
    with (
        tempfile.TemporaryDirectory(prefix="parley-production-") as folder,
        ScriptedProvider(*provider_arguments) as provider,
    ):
        production = Production(
            Path(folder),
            provider.url,
            webs=webs,
            workers=workers,
            concurrency=concurrency,
            is_hosted=is_hosted,
            environment=environment,
            worker=worker,
        )
        try:
            production.start_stores()
            production.start_servers()
            yield production, provider
        finally:
            production.stop()


def _hosted_by(provider_url: str) -> dict[str, str]:
    return {
        "ANTHROPIC_API_KEY": "scripted",
        "ANTHROPIC_BASE_URL": provider_url,
        "LOCAL_MODEL_URL": "",
    }


# What it goes on to say after a break is not for sure its own continuation, so it begins anew.
HOSTED = "claude-restarting"
HOSTED_MODELS = f"""
[[model]]
name = "{HOSTED}"
display_name = "Claude, from the beginning"
provider = "anthropic"
model_id = "{HOSTED}"
tier = "fast"
context_window = 200000
max_output = 8192
answer_tokens = 4096
continuation = "restart"
free = true
"""


def hosted_model(folder: Path, provider_url: str) -> dict[str, str]:
    """Return the environment of a hosted model, which does not go on from a started answer."""
    models = folder / "models.toml"
    models.write_text(HOSTED_MODELS)
    return {
        "ANTHROPIC_API_KEY": "scripted",
        "ANTHROPIC_BASE_URL": provider_url,
        "MODELS_FILE": str(models),
    }
