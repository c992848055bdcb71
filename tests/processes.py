"""Processes that tests start, kill, freeze and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.02


class ProcessFailed(Exception):
    """A process ended, or was not ready in time; its log is in the message."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts_connections(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Process:
    """One command, in the same environment and with the same log in each of its lives.

    `environment` may be changed between two lives. `is_ready` says whether it serves.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = dict(os.environ if environment is None else environment)
        self._is_ready = is_ready
        self._popen: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start, and return at once."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start, and return once it is ready. Raises ProcessFailed."""
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.is_alive:
            if self._is_ready():
                return
            time.sleep(LOOK_EVERY_S)
        self.kill9()
        raise ProcessFailed(f"{self.name} did not get ready:\n{self.log.read_text()[-8000:]}")

    def wait_for(self, words: str) -> None:
        """Return once its log says this. Raises ProcessFailed if it ends, or does not in time."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while words not in self.log.read_text():
            if not self.is_alive or time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} never said it:\n{self.log.read_text()[-8000:]}")
            time.sleep(LOOK_EVERY_S)

    @property
    def is_alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    def kill9(self) -> None:
        """End it without a warning; also while it is paused."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def terminate(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to end and return its exit status. Raises ProcessFailed if it does not go."""
        assert self._popen is not None
        self._popen.terminate()
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as exc:
            self.kill9()
            log = self.log.read_text()[-8000:]
            raise ProcessFailed(f"{self.name} did not end:\n{log}") from exc

    def pause(self) -> None:
        """Freeze it: its connections stay open, and nothing happens on them."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it if it lives, and return once its next life is ready."""
        self.kill9()
        self.start()

    def _signal(self, number: int) -> None:
        assert self._popen is not None
        self._popen.send_signal(number)
