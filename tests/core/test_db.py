from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

from chatbot.accounts.models import User
from chatbot.core.db import DatabaseAway, db_call, patiently
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

# Within a transaction, or until the connection is closed.
READ_ONLY = {"sqlite": "PRAGMA query_only = on", "postgresql": "SET TRANSACTION READ ONLY"}

_trace: contextvars.ContextVar[str] = contextvars.ContextVar("_trace", default="nobody")


async def test_units_of_work_run_side_by_side() -> None:
    together = threading.Barrier(4, timeout=20)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(db_call(together.wait)) for _ in range(4)]
    assert sorted(task.result() for task in tasks) == [0, 1, 2, 3]


async def test_the_event_loop_turns_meanwhile() -> None:
    go_on = threading.Event()
    waiting = asyncio.ensure_future(db_call(go_on.wait, 20))
    go_on.set()
    assert await waiting


async def test_no_connection_is_kept_from_others() -> None:
    def use_connection() -> tuple[str, bool]:
        was_open = connection.connection is not None
        User.objects.exists()
        return threading.current_thread().name, was_open

    calls = [await db_call(use_connection) for _ in range(2 * settings.DATABASE_THREADS)]
    # A thread's own SQLite connection takes nothing from anybody.
    assert connection.vendor == "sqlite" or not any(was_open for _, was_open in calls)
    assert all(name.startswith("database") for name, _ in calls)


async def test_no_transaction_is_left_open() -> None:
    def fail() -> None:
        with transaction.atomic():
            User.objects.exists()
            raise LookupError

    for _ in range(2 * settings.DATABASE_THREADS):
        with pytest.raises(LookupError):
            await db_call(fail)
    for _ in range(2 * settings.DATABASE_THREADS):
        assert await db_call(lambda: connection.get_autocommit())
        assert not await db_call(lambda: connection.in_atomic_block)


async def test_a_connection_that_failed_is_not_used_again() -> None:
    def fail() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    def fail_in_time() -> None:
        with pytest.raises(DatabaseError):
            fail()
        together.wait()

    def look() -> object:
        together.wait()
        return connection.connection

    # So that each thread does each once.
    together = threading.Barrier(settings.DATABASE_THREADS, timeout=20)
    for work in (fail_in_time, look):
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(db_call(work)) for _ in range(settings.DATABASE_THREADS)]
        assert [task.result() for task in calls] == [None] * settings.DATABASE_THREADS


async def test_a_transaction_that_fails_leaves_nothing() -> None:
    def fail() -> None:
        with transaction.atomic():
            make_person(email="half@example.org")
            raise LookupError

    with pytest.raises(LookupError):
        await db_call(fail)
    assert not await db_call(User.objects.filter(email="half@example.org").exists)


async def test_context_variables_reach_the_work_and_stay_there() -> None:
    def change() -> str:
        seen = _trace.get()
        _trace.set("changed inside")
        return seen

    _trace.set("somebody")
    assert await db_call(change) == "somebody"
    assert _trace.get() == "somebody"


async def test_arguments_and_results_pass_through() -> None:
    assert await db_call(divmod, 7, 2) == (3, 1)
    assert await db_call(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]


async def test_a_cancelled_caller_stops_waiting_and_the_work_still_ends() -> None:
    started, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        go_on.wait(20)
        ended.set()

    caller = asyncio.ensure_future(db_call(work))
    await asyncio.to_thread(started.wait, 20)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 20)


async def test_a_database_that_takes_no_writes_counts_as_away() -> None:
    def write() -> None:
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(READ_ONLY[connection.vendor])
                User.objects.update(email="late@example.org")
        finally:
            if connection.vendor == "sqlite":
                # It would outlast the transaction, on a connection that others may be given.
                with connection.cursor() as cursor:
                    cursor.execute("PRAGMA query_only = off")

    with pytest.raises(DatabaseAway):
        await db_call(write)
    # It reads all the same, and writes again afterwards.
    assert await db_call(User.objects.update, email="late@example.org") == 0


async def test_what_needs_the_database_is_tried_again_until_that_is_back() -> None:
    tries: list[type[Exception] | None] = [OperationalError, InterfaceError, None]

    async def try_it() -> str:
        if (failure := tries.pop(0)) is not None:
            raise failure("away")
        return "done"

    assert await patiently(try_it) == "done"
    assert not tries
