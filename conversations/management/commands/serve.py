from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from chatbot.core.collected import collect_static
from conversations.embedded import (
    CannotServe,
    EmbeddedServer,
    check_address,
    close_to_others,
    sole_server,
)
from llm.local import LocalServer
from llm.local_model import ModelUnavailable, ensure_model

# What a shell makes of a program that SIGINT ended.
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Run everything in one process tree: migrates, fetches the local model once, serves the "
        "pages, writes the answers, runs the periodic tasks. HOST and PORT choose the address."
    )
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        try:
            self._serve()
        except CannotServe as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt:
            self.stderr.write("Stopped before it served.")
            sys.exit(INTERRUPTED)

    def _serve(self) -> None:
        host, port = settings.HOST, settings.PORT
        close_to_others(settings.DATA_DIR, self._database_file())
        check_address(host, port)
        self._check_model_file()
        with sole_server(settings.DATA_DIR):
            self._prepare()
            server = EmbeddedServer(
                host=host,
                port=port,
                concurrency=settings.GENERATION_CONCURRENCY,
                local=self._local_server(),
                say=self._say,
            )
            server.run(get_default_application(), max_body_bytes=settings.MAX_BODY_BYTES)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _prepare(self) -> None:
        self.check()
        call_command("migrate", interactive=False, verbosity=0)
        collect_static()

    def _database_file(self) -> str | None:
        return str(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else None

    def _check_model_file(self) -> None:
        name = settings.LOCAL_MODEL_FILE
        if self._runs_local_model() and name and not _is_readable(Path(name)):
            raise CannotServe(f"LOCAL_MODEL_FILE={name} is no file that can be read.")

    def _runs_local_model(self) -> bool:
        return bool(settings.LOCAL_MODEL and not settings.LOCAL_MODEL_URL)

    def _local_server(self) -> LocalServer | None:
        """Return the local model's supervisor, or None where a model comes from elsewhere."""
        if not self._runs_local_model():
            return None
        if settings.LOCAL_MODEL_FILE:
            return LocalServer(Path(settings.LOCAL_MODEL_FILE))
        try:
            return LocalServer(ensure_model(settings.MODEL_CACHE_DIR, self._say))
        except ModelUnavailable as exc:
            if not settings.ANTHROPIC_API_KEY:
                raise CommandError(str(exc)) from exc
            self._say(f"Going on without the local model. {exc}")
            return None


def _is_readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)
