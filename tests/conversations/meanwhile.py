"""What others do at one exact point of a unit of work, between two of its statements."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from django.db import connection
from django.db.backends.signals import connection_created

from tests.processes import LOOK_EVERY_S

PATIENCE_S = 20
_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@contextmanager
def before(words: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something once, just before the first statement with these words is carried out.

    Watched are this thread's connection and those that any thread opens within the block.
    """
    watched: list[Any] = []
    has_acted = threading.Event()

    def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if words in sql and not has_acted.is_set():
            has_acted.set()
            act()
        return execute(sql, *rest)

    def take(*, connection: Any, **_: object) -> None:
        watched.append(connection)
        connection.execute_wrappers.append(watch)

    connection_created.connect(take)
    take(connection=connection)
    try:
        yield
    finally:
        connection_created.disconnect(take)
        for one in watched:
            one.execute_wrappers.remove(watch)
    assert has_acted.is_set(), f"There was no statement with {words}."


@asynccontextmanager
async def meanwhile(words: str, do: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Do something before the first such statement, until it has ended or waits for a lock.

    Only then does the statement go on. What was begun has ended when the block has.
    """
    loop, begun = asyncio.get_running_loop(), list[Future[object]]()

    async def whole() -> object:
        return await do()

    def begin() -> None:
        begun.append(asyncio.run_coroutine_threadsafe(whole(), loop))
        deadline = time.monotonic() + PATIENCE_S
        while not begun[0].done() and not _is_anybody_waiting():
            assert time.monotonic() < deadline, "it neither ended nor waited"
            time.sleep(LOOK_EVERY_S)

    with before(words, begin):
        yield
    await asyncio.wrap_future(begun[0])


def _is_anybody_waiting() -> bool:
    # This thread's own connection is within its transaction.
    beside = connection.copy()
    try:
        with beside.cursor() as cursor:
            cursor.execute(_WAITING)
            return bool(cursor.fetchone()[0])
    finally:
        beside.close()
