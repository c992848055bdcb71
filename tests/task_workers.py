"""Celery in processes of its own: workers, each in a test's hand, and the schedule."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.processes import Process
from tests.production import Production


class _CeleryProcess(Process):
    """A command of Celery; it is ready when it says so, in each of its lives."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        production: Production,
        folder: Path,
        ready: bytes,
    ) -> None:
        self._seen = 0
        super().__init__(
            name,
            [sys.executable, "-m", "celery", "-A", "chatbot", *arguments, "--loglevel", "INFO"],
            log=folder / f"{name}.log",
            environment=production.environment,
            is_ready=lambda: ready in self.log.read_bytes()[self._seen :],
        )

    def launch(self) -> None:
        self._seen = self.log.stat().st_size if self.log.exists() else 0
        super().launch()


class TaskWorker(_CeleryProcess):
    """A worker that does one task at a time, in the process that a test kills."""

    def __init__(self, production: Production, folder: Path, name: str = "tasks") -> None:
        arguments = ["worker", "--pool", "solo", "--without-gossip", "--without-mingle"]
        super().__init__(
            name,
            [*arguments, "--hostname", f"{name}@test"],
            production=production,
            folder=folder,
            ready=b" ready.",
        )


class Beat(_CeleryProcess):
    """The schedule of all that is done again and again."""

    def __init__(self, production: Production, folder: Path) -> None:
        arguments = ["beat", "--schedule", str(folder / "schedule")]
        super().__init__(
            "beat", arguments, production=production, folder=folder, ready=b"beat: Starting"
        )
