"""A leak is found: descriptors, threads and tasks are held here on purpose."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.faults.holdings import (
    SERVER_DESCRIPTORS,
    SPARE_DESCRIPTORS,
    SPARE_TASKS,
    SPARE_THREADS,
    Holdings,
    Moment,
    find_excess,
    settle,
)

IDLE = {"web0": Holdings(30, 15), "worker0": Holdings(25, 12)}


@contextmanager
def held_sockets(count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.socket())
        yield


async def test_a_driver_that_is_as_it_began_is_within_its_limits() -> None:
    began = Holdings.of_driver()
    assert not find_excess(began, Moment(Holdings.of_driver(), IDLE))


async def test_a_descriptor_too_many_in_the_driver_is_found() -> None:
    began = Holdings.of_driver()
    with held_sockets(SPARE_DESCRIPTORS):
        assert not find_excess(began, Moment.now({}))
        with held_sockets(1):
            excess = find_excess(began, Moment.now({}))
    most = began.descriptors + SPARE_DESCRIPTORS
    assert excess == {
        "driver": [f"it holds {most + 1:,} descriptors, and {most:,} are enough"],
    }


async def test_two_descriptors_for_each_of_a_server_are_no_leak_of_the_driver() -> None:
    began = Holdings.of_driver()
    held = Holdings(began.descriptors + 2 * (30 + 25) + SPARE_DESCRIPTORS, began.threads)
    assert not find_excess(began, Moment(held, IDLE))


async def test_threads_and_tasks_too_many_are_found() -> None:
    began = Holdings.of_driver()
    over = threading.Event()
    threads = [threading.Thread(target=over.wait) for _ in range(SPARE_THREADS + 1)]
    for thread in threads:
        thread.start()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(60)) for _ in range(SPARE_TASKS + 1)]
            excess = find_excess(began, Moment.now({}))
            for task in tasks:
                task.cancel()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert [sentence.split()[3].rstrip(",") for sentence in excess["driver"]] == [
        "threads",
        "tasks",
    ]


async def test_a_server_that_holds_too_much_is_named() -> None:
    script = (
        "import os, sys\n"
        f"held = [os.dup(0) for _ in range({SERVER_DESCRIPTORS})]\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    excess = find_excess(Holdings.of_driver(), Moment.now({"worker1": process.pid}))
    process.stdin.close()
    await process.wait()
    assert list(excess) == ["worker1"]
    assert "descriptors" in excess["worker1"][0]


async def test_what_goes_soon_is_waited_for() -> None:
    began = Holdings.of_driver()
    stack = ExitStack()
    stack.enter_context(held_sockets(SPARE_DESCRIPTORS + 1))
    asyncio.get_running_loop().call_later(0.1, stack.close)
    assert not find_excess(began, await settle(began, {}))


async def test_what_stays_is_not_waited_for_forever() -> None:
    began = Holdings.of_driver()
    with held_sockets(SPARE_DESCRIPTORS + 1):
        assert find_excess(began, await settle(began, {}, within_s=0.1))
