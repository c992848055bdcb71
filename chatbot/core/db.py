"""The one bridge from async code to the database.

Outside an HTTP request, `sync_to_async` runs everything on one thread; this pool lets units of
work run side by side. A unit of work is one sync function, crossed once: `transaction.atomic`
does not work in async code.

A server that stands still, with its connections open, would keep all threads and whoever waits
for them: a caller gives up after DATABASE_TIMEOUT_S. What it asked for may still be done.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from chatbot.core.stores import DATABASE

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# What a unit of work raises when the database is away, restarts, or drops the connection.
DatabaseAway = (OperationalError, InterfaceError)

# Between tries of what must wait for a database that is away; the pause grows to the cap.
RETRY_S = 0.1
RETRY_CAP_S = 2.0

_pool: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(settings.DATABASE_THREADS, thread_name_prefix="database")
    return _pool


def _give_back_connections() -> None:
    for connection in connections.all(initialized_only=True):
        # A thread's own SQLite connection takes nothing from others, and opening it again would
        # cost half a millisecond of every call.
        is_kept = connection.vendor == "sqlite" and not connection.errors_occurred
        if not is_kept or connection.in_atomic_block:
            connection.close()


def _with_own_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        _give_back_connections()


async def db_call(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a sync unit of work on a database thread and return what it returns.

    A caller that is cancelled, or waited too long (OperationalError), stops waiting; a unit of
    work that has begun runs to its end.
    """
    has_begun = False

    def unit() -> T:
        nonlocal has_begun
        has_begun = True
        return _with_own_connection(partial(work, *args, **kwargs))

    context = contextvars.copy_context()
    running = asyncio.get_running_loop().run_in_executor(_threads(), context.run, unit)
    patience = asyncio.timeout(settings.DATABASE_TIMEOUT_S)
    try:
        async with patience:
            return await running
    except TimeoutError as exc:
        if not patience.expired():
            raise
        if has_begun:
            # Otherwise it is this process that is too busy, and not the database that is away.
            DATABASE.note_failure(exc)
        raise OperationalError("The database did not answer in time.") from exc


async def patient_db_call(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a unit of work that can wait for a database that is away, and be run again.

    Whether a try that failed was committed is not known: the work has to bear repeating.
    """
    return await patiently(partial(db_call, work, *args, **kwargs))


async def patiently(try_it: Callable[[], Awaitable[T]]) -> T:
    """Await what needs the database, again and again while that is away."""
    pause_s = RETRY_S
    while True:
        try:
            return await try_it()
        except DatabaseAway:
            logger.warning("The database is away; trying again in %.1f s", pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_CAP_S, pause_s * 2)
