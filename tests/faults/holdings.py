"""What the driver and the servers hold after a round.

A few descriptors a round, and a long run ends at its limit, with an error that names everything
but the cause. So each round ends with a look at what is still held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

# Of the driver, beside what it began with and the connections that it passes on: the threads of
# its executor, the timers and pipes of a moment.
SPARE_DESCRIPTORS = 40
SPARE_THREADS = 32
SPARE_TASKS = 10
# An idle server was seen with 25 descriptors (a pool of connections to PostgreSQL, a few to Valkey,
# its port) and as many threads.
SERVER_DESCRIPTORS = 80
SERVER_THREADS = 80
# Idle connections go, and threads end, within this time after the last reader has left.
SETTLES_WITHIN_S = 10.0
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one process holds. Tasks are counted in the driver only."""

    descriptors: int
    threads: int
    tasks: int = 0

    @classmethod
    def of(cls, pid: int) -> Holdings:
        """Return what another process holds. Raises psutil.NoSuchProcess."""
        process = psutil.Process(pid)
        return cls(process.num_fds(), process.num_threads())

    @classmethod
    def of_driver(cls) -> Holdings:
        """Return what this process holds, with the tasks of the running loop."""
        process = psutil.Process()
        return cls(process.num_fds(), process.num_threads(), len(asyncio.all_tasks()))


@dataclass(frozen=True, slots=True)
class Moment:
    """What the driver and each server, by its name, hold at one time."""

    driver: Holdings
    servers: Mapping[str, Holdings]

    @classmethod
    def now(cls, pids: Mapping[str, int]) -> Moment:
        return cls(Holdings.of_driver(), {name: Holdings.of(pid) for name, pid in pids.items()})


def find_excess(began: Holdings, moment: Moment) -> dict[str, list[str]]:
    """Return a sentence for everything that a process holds beyond its limit, by its name."""
    # Each connection of a server through a proxy is two of the driver.
    passed_on = 2 * sum(server.descriptors for server in moment.servers.values())
    limit = Holdings(
        began.descriptors + passed_on + SPARE_DESCRIPTORS,
        began.threads + SPARE_THREADS,
        began.tasks + SPARE_TASKS,
    )
    found = {"driver": _compare(moment.driver, limit)}
    for name, server in moment.servers.items():
        found[name] = _compare(server, Holdings(SERVER_DESCRIPTORS, SERVER_THREADS))
    return {name: sentences for name, sentences in found.items() if sentences}


def _compare(held: Holdings, limit: Holdings) -> list[str]:
    return [
        f"it holds {number:,} {what}, and {most:,} are enough"
        for what, number, most in (
            ("descriptors", held.descriptors, limit.descriptors),
            ("threads", held.threads, limit.threads),
            ("tasks", held.tasks, limit.tasks),
        )
        if number > most
    ]


async def settle(
    began: Holdings, pids: Mapping[str, int], *, within_s: float = SETTLES_WITHIN_S
) -> Moment:
    """Return what is held once nothing is too much, or what is still held after a while."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        moment = Moment.now(pids)
        if not find_excess(began, moment) or loop.time() > deadline:
            return moment
        await asyncio.sleep(LOOK_EVERY_S)
