"""Keeps the local model's server running: starts it, watches it, restarts it, ends it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Literal

import aiohttp

from chatbot.core.tasks import spawn
from llm.local_env import API_KEY_VARIABLE
from llm.local_model import ModelUnavailable

log = logging.getLogger(__name__)

ServerState = Literal["starting", "ready", "down"]

START_TIMEOUT_S = 60.0
HEALTH_EVERY_S = 5.0
HEALTH_TIMEOUT_S = 5.0
# A busy machine may miss one; three in a row is a server that hangs.
HEALTH_FAILURES = 3
RESTART_DELAY_S = 0.2
MAX_RESTART_DELAY_S = 10.0
# A child that lived this long is not failing at its start: begin with a short delay again.
STABLE_S = 60.0
# Each of: leave on your own, SIGTERM; then SIGKILL. Together under the three seconds of `stop`.
LEAVE_TIMEOUT_S = 1.0
STDERR_LINES = 20

ROOT = Path(__file__).resolve().parent.parent


class ServerDied(Exception):
    """The child is gone or useless; the message says what is known."""


class LocalServer:
    """A supervised `llm.local_server`, seen as an endpoint whose address may change."""

    def __init__(self, model: Path, *, threads: int = 0) -> None:
        self._model = model
        self._threads = threads
        self._api_key = secrets.token_urlsafe(32)
        self._base_url = ""
        self._state: ServerState = "down"
        self._reason = "not started"
        self._ready = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def base_url(self) -> str:
        """Where the server listens, changing with each restart; empty before the first start."""
        return self._base_url

    @property
    def api_key(self) -> str:
        return self._api_key

    @property
    def state(self) -> ServerState:
        return self._state

    @property
    def reason(self) -> str:
        """Why the state is what it is, for logs and operators."""
        return self._reason

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Begin supervising and return. Raises ModelUnavailable if there is no model file."""
        if not self._model.is_file():
            raise ModelUnavailable(f"There is no model file at {self._model}.")
        if self._supervisor is None:
            self._supervisor = spawn(self._supervise(), name="local model supervisor")

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once the server answers. Raises ModelUnavailable after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError as exc:
            raise ModelUnavailable(f"The local model did not start: {self._reason}.") from exc

    async def stop(self) -> None:
        """End the server and wait until it is gone, within three seconds."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        self._enter("down", "stopped")

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        self._enter("starting", "loading the model")
        while True:
            began = loop.time()
            try:
                await self._run_child()
            except (ServerDied, OSError) as exc:
                self._enter("down", str(exc))
                log.error("local model server: %s", exc)
            if loop.time() - began > STABLE_S:
                failures = 0
            await asyncio.sleep(min(MAX_RESTART_DELAY_S, RESTART_DELAY_S * 2**failures))
            failures += 1
            self._enter("starting", f"again, as it {self._reason}")

    async def _run_child(self) -> None:
        """Run one child until it fails, which raises ServerDied; leave none behind."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "llm.local_server", "--model", str(self._model)),
            *("--port", "0", "--threads", str(self._threads)),
            cwd=ROOT,
            env={**os.environ, API_KEY_VARIABLE: self._api_key},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._process = process
        tail: deque[str] = deque(maxlen=STDERR_LINES)
        reading = spawn(_keep_tail(process.stderr, tail), name="local model stderr")
        try:
            self._base_url = await _read_url(process)
            self._enter("ready", "answering")
            log.info("local model server is ready, pid %d", process.pid)
            await self._watch(process)
        except ServerDied as exc:
            await _end(process)
            await reading
            raise ServerDied(f"{exc}; it said: {' | '.join(tail) or 'nothing'}") from exc
        finally:
            self._process = None
            self._ready.clear()
            await _end(process)
            reading.cancel()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Raise ServerDied when the child exits or stops answering."""
        misses = 0
        timeout = aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while misses < HEALTH_FAILURES:
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEALTH_EVERY_S):
                        await process.wait()
                if process.returncode is not None:
                    raise ServerDied(f"exited with status {process.returncode}")
                misses = 0 if await self._is_healthy(session) else misses + 1
        raise ServerDied("stopped answering")

    async def _is_healthy(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self._base_url}/health") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _enter(self, state: ServerState, reason: str) -> None:
        self._state = state
        self._reason = reason
        if state == "ready":
            self._ready.set()
        else:
            self._ready.clear()


async def _read_url(process: asyncio.subprocess.Process) -> str:
    """Return the address the child prints when it is ready. Raises ServerDied."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
    except TimeoutError as exc:
        raise ServerDied("did not load the model in time") from exc
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError) as exc:
        raise ServerDied("ended while loading the model") from exc


async def _keep_tail(stream: asyncio.StreamReader | None, tail: deque[str]) -> None:
    """Read a child's complaints, so that it never blocks on them; keep the last."""
    assert stream is not None
    while line := await stream.readline():
        tail.append(line.decode(errors="replace").rstrip())


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the child: closing its input is enough, unless it hangs."""
    if process.returncode is not None:
        return
    assert process.stdin is not None
    process.stdin.close()
    for force in (process.terminate, process.kill):
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await process.wait()
            return
        with suppress(ProcessLookupError):
            force()
    await process.wait()
