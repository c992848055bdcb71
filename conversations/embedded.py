"""Embedded mode: web, generation worker, periodic tasks and local model as one process tree."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
import stat
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import daphne.server  # noqa: F401 - Installs the asyncio reactor: before any import of Twisted.
from asgiref.typing import ASGI3Application
from daphne.endpoints import build_endpoint_description_strings
from twisted.internet import reactor as _reactor

from chatbot.celery import app as celery_app
from chatbot.core.db import db_call
from chatbot.core.isolation import isolate
from chatbot.core.tasks import spawn
from chatbot.core.webrequest import BoundedServer
from conversations.claims import release_leases
from conversations.eventlog import get_event_log
from conversations.opinions import prepare_judge
from conversations.overrides import follow_overrides
from conversations.periodic import run_schedule
from conversations.scales import follow_scales
from conversations.suspending import follow_suspensions
from conversations.upkeep import keep_up
from conversations.worker import GenerationWorker
from llm.conf import get_registry, set_local_endpoint
from llm.local import LocalServer
from llm.local_model import ModelUnavailable
from moderation.policies import follow_policy

# Twisted chooses its reactor at run time, so its type is not known before.
reactor: Any = _reactor

logger = logging.getLogger(__name__)

# Ctrl-C ends everything within five seconds: answers get this much of them.
DRAIN_GRACE_S = 1.5
MODEL_READY_S = 60.0
OWNER = "embedded"


class CannotServe(Exception):
    """The server cannot start, or not go on; the message is one line that says why."""


def close_to_others(data_dir: Path, database: str | Path | None) -> None:
    """Take the folder, the database's files and what will be made from other people's eyes.

    What a looser version left behind is tightened, as far as it is ours.
    """
    os.umask(0o077)
    data_dir.mkdir(parents=True, exist_ok=True)
    _restrict(data_dir, 0o700)
    if database is not None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                _restrict(Path(f"{database}{suffix}"), 0o600)


def _restrict(path: Path, mode: int) -> None:
    found = path.stat()
    # A folder with the sticky bit, such as /tmp, is everybody's.
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
        path.chmod(stat.S_IMODE(found.st_mode) & mode)


@contextmanager
def sole_server(data_dir: Path) -> Iterator[None]:
    """Hold the data folder: two embedded servers on one would take each other's answers.

    Raises CannotServe while another process holds it.
    """
    with (data_dir / "serve.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise CannotServe(f"Another server is already running on {data_dir}.") from exc
        yield


def check_address(host: str, port: int) -> None:
    """Raises CannotServe when the address cannot be listened on."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As servers do: a port that only lingers in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc)
        raise CannotServe(
            f"Cannot listen on {host}:{port}: {reason}. Choose another with PORT or HOST."
        ) from exc


class EmbeddedServer:
    def __init__(
        self,
        *,
        host: str,
        port: int,
        concurrency: int,
        local: LocalServer | None,
        say: Callable[[str], None],
    ) -> None:
        self._host = host
        self._port = port
        self._local = local
        self._say = say
        self._concurrency = concurrency
        self._worker: GenerationWorker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self._failure = ""

    def run(self, application: ASGI3Application, *, max_body_bytes: int) -> None:
        """Serve until SIGINT or SIGTERM. Raises CannotServe if a part of it ends before."""
        endpoints = build_endpoint_description_strings(host=self._host, port=self._port)
        server = BoundedServer(
            isolate(application),
            endpoints=endpoints,
            max_body_bytes=max_body_bytes,
            signal_handlers=False,
            # Ours ends within the grace of a Ctrl-C; Daphne's default waits ten seconds.
            application_close_timeout=2,
            server_name="parley",
        )
        # Not callWhenRunning: that is before the event loop turns.
        reactor.callLater(0, self._start)
        server.run()
        if not server.listening_addresses:
            raise CannotServe(f"Cannot listen on {self._host}:{self._port}.")
        if self._failure:
            raise CannotServe(self._failure)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        starting = spawn(self._work(), name="start of the embedded server")
        starting.add_done_callback(self._end_if_failed)
        self._tasks.append(starting)

    async def _work(self) -> None:
        await db_call(release_leases, OWNER)
        self._keep(run_schedule(celery_app), name="runner of periodic tasks")
        # Daphne knows no lifespan, in which other servers begin this.
        self._keep(follow_overrides(), name="follower of model overrides")
        self._keep(follow_scales(), name="follower of token scales")
        self._keep(follow_suspensions(), name="follower of suspensions")
        self._keep(follow_policy(), name="follower of the moderation policy")
        if self._local is not None:
            set_local_endpoint(self._local)
            await self._local.start()
        await get_registry().import_sdks()
        await prepare_judge()
        if self._local is not None:
            # Pages are served meanwhile, and what is asked meanwhile waits in the queue.
            await self._wait_for_model(self._local)
        self._worker = GenerationWorker(
            owner=OWNER, concurrency=self._concurrency, log=get_event_log()
        )
        self._keep(self._worker.run(), name="generation worker")
        self._keep(keep_up(), name="keeper of summaries")
        self._say(f"Parley is ready at http://{self._host}:{self._port} (Ctrl-C ends it).")

    def _keep(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run what serving needs: pages without it would look alive and answer nothing."""
        task = spawn(work, name=name)
        task.add_done_callback(self._end)
        self._tasks.append(task)

    def _end_if_failed(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._end(task)

    def _end(self, task: asyncio.Task[None]) -> None:
        if self._is_stopping:
            return
        exc = None if task.cancelled() else task.exception()
        why = f" ({type(exc).__name__}, see the log)" if exc else ""
        self._failure = f"Parley ended: the {task.get_name()} stopped{why}."
        self._on_signal()

    async def _wait_for_model(self, local: LocalServer) -> None:
        try:
            await local.wait_ready(MODEL_READY_S)
        except ModelUnavailable as exc:
            logger.error("%s It is being tried again.", exc)

    def _on_signal(self) -> None:
        if self._is_stopping:
            reactor.stop()
            return
        self._is_stopping = True
        self._tasks.append(spawn(self._stop(), name="stop"))

    async def _stop(self) -> None:
        self._say("Stopping…")
        steps: list[tuple[str, Awaitable[None]]] = []
        if self._worker is not None:
            steps.append(("worker", self._worker.drain(grace_s=DRAIN_GRACE_S)))
        if self._local is not None:
            steps.append(("local model", self._local.stop()))
        steps.append(("model clients", get_registry().aclose()))
        for name, step in steps:
            try:
                await step
            except Exception:
                logger.exception("Stopping the %s failed", name)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        reactor.stop()
