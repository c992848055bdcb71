"""The relay in a process of its own, served as the product is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import Process, free_port
from tests.production import answers


@contextmanager
def running_relay(folder: Path, provider_url: str) -> Iterator[tuple[Process, str]]:
    """Yield the relay's process and where it serves."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "tests.bench.relay:app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--loop", "asyncio"]
    command += ["--ws", "websockets-sansio", "--no-proxy-headers"]
    command += ["--no-access-log", "--log-level", "warning"]
    process = Process(
        "relay",
        command,
        log=folder / "relay.log",
        environment={**os.environ, "RELAY_PROVIDER_URL": provider_url},
        is_ready=lambda: answers(f"{url}/healthz"),
    )
    process.start()
    try:
        yield process, url
    finally:
        process.kill9()
