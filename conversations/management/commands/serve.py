from __future__ import annotations

from pathlib import Path
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from conversations.embedded import CannotServe, EmbeddedServer, check_address, sole_server
from llm.local import LocalServer
from llm.local_model import ModelUnavailable, ensure_model


class Command(BaseCommand):
    help = (
        "Run everything in one process tree: migrates, fetches the local model once, serves the "
        "pages, writes the answers, runs the periodic tasks. HOST and PORT choose the address."
    )
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        host, port = settings.HOST, settings.PORT
        try:
            check_address(host, port)
            with sole_server(settings.DATA_DIR):
                self._prepare()
                server = EmbeddedServer(
                    host=host,
                    port=port,
                    concurrency=settings.GENERATION_CONCURRENCY,
                    local=self._local_server(),
                    say=self._say,
                )
                server.run(get_default_application())
        except CannotServe as exc:
            raise CommandError(str(exc)) from exc

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _prepare(self) -> None:
        self.check()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)

    def _local_server(self) -> LocalServer | None:
        """Return the local model's supervisor, or None where a model comes from elsewhere."""
        if not settings.LOCAL_MODEL or settings.LOCAL_MODEL_URL:
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
