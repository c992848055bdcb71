"""Keeps the local model's server running: starts it, watches it, restarts it, ends it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
from collections import deque
from collections.abc import Mapping, Sequence
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
STDERR_LINE_BYTES = 1_000
BLOCK_BYTES = 65_536

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-m", "llm.local_server")

# What the child needs to find Python, its libraries and its temporary files. The rest stays
# here: it holds keys, and the child parses what strangers wrote.
PASSED_ON = {"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
PASSED_ON_PREFIXES = ("LC_", "PYTHON")


class ServerDied(Exception):
    """The child is gone or useless; the message says what is known."""


class LocalServer:
    """A supervised `llm.local_server`, seen as an endpoint whose address may change."""

    def __init__(self, model: Path, *, threads: int = 0, command: Sequence[str] = COMMAND) -> None:
        self._model = model
        self._command = tuple(command)
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
    def is_ready(self) -> bool:
        return self._ready.is_set()

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
            *self._command,
            *("--model", str(self._model), "--port", "0", "--threads", str(self._threads)),
            cwd=ROOT,
            env={**child_environment(os.environ), API_KEY_VARIABLE: self._api_key},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._process = process
        tail: deque[str] = deque(maxlen=STDERR_LINES)
        reading = spawn(_keep_tail(process.stderr, tail), name="local model stderr")
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        listening = spawn(_listen(process.stdout, address), name="local model stdout")
        try:
            self._base_url = await _read_url(address)
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
            listening.cancel()

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


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of this process's environment the child may see."""
    return {
        name: value
        for name, value in environment.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }


async def _read_url(address: asyncio.Future[str]) -> str:
    """Return the address the child prints when it is ready. Raises ServerDied."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            return await address
    except TimeoutError as exc:
        raise ServerDied("did not load the model in time") from exc


async def _listen(stream: asyncio.StreamReader | None, address: asyncio.Future[str]) -> None:
    """Take the address from a child's first line; drop the rest, so that it never blocks."""
    assert stream is not None
    try:
        line = await stream.readline()
        url = str(json.loads(line)["url"]) if line else ""
    except (ValueError, KeyError, TypeError):
        _settle(address, ServerDied("said no address"))
    else:
        _settle(address, url or ServerDied("ended while loading the model"))
    # A child whose pipe is full is never seen to be gone, either.
    while await stream.read(BLOCK_BYTES):
        pass


def _settle(address: asyncio.Future[str], outcome: str | ServerDied) -> None:
    if address.done():
        return
    if isinstance(outcome, str):
        address.set_result(outcome)
    else:
        address.set_exception(outcome)


async def _keep_tail(stream: asyncio.StreamReader | None, tail: deque[str]) -> None:
    """Read a child's complaints, so that it never blocks on them; keep the last lines' ends."""
    assert stream is not None
    unfinished = b""
    while block := await stream.read(BLOCK_BYTES):
        *lines, unfinished = (unfinished + block).split(b"\n")
        unfinished = unfinished[-STDERR_LINE_BYTES:]
        tail.extend(_readable(line) for line in lines)
    if unfinished:
        tail.append(_readable(unfinished))


def _readable(line: bytes) -> str:
    return line[-STDERR_LINE_BYTES:].decode(errors="replace").rstrip()


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
