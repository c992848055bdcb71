"""The only place that wakes workers. A wake-up is a hint: the database is the truth.

Workers also look for work on their own, so a lost wake-up costs a moment and no answer. Workers
of this process hear their bells; those of other processes hear the doorbell in Redis, and task
workers get a task of Celery.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID

from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from conversations import doorbell

logger = logging.getLogger(__name__)

# The task that does chores; see conversations.tasks.
TEND = "conversations.tend"
# So many chores wait to be told while the broker stands still. The others are found by the sweep.
MAX_UNTOLD = 1_000
# Telling the broker costs a millisecond, however much there is to tell: after each time, what comes
# within so many seconds is told together, up to so many chores, which one task does at once.
GATHER_S = 0.05
MAX_TOLD = 16


@dataclass(eq=False)
class Bell:
    """Rings in a worker's event loop, from any thread."""

    on_work: Callable[[], None]
    on_stop: Callable[[UUID], None]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


@dataclass(eq=False)
class ChoreBell:
    """Rings where chores are done in this process, in its event loop, from any thread."""

    on_chore: Callable[[], None]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


_bells: set[Bell] = set()
_chore_bells: set[ChoreBell] = set()


def hang_bell(bell: Bell) -> None:
    _bells.add(bell)


def remove_bell(bell: Bell) -> None:
    _bells.discard(bell)


async def hear_other_processes(bell: Bell, has_room: asyncio.Event) -> None:
    """Ring a bell for what other processes announce, until cancelled.

    New work is only taken note of while there is room for it.
    """
    if not settings.REDIS_URL:
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(doorbell.hear_work(bell.on_work, has_room))
        group.create_task(doorbell.hear_stops(bell.on_stop))


def _ring_work() -> None:
    for bell in tuple(_bells):
        bell.loop.call_soon_threadsafe(bell.on_work)
    if settings.REDIS_URL:
        doorbell.ring_work()


def _ring_stop(generation_id: UUID) -> None:
    for bell in tuple(_bells):
        bell.loop.call_soon_threadsafe(bell.on_stop, generation_id)
    if settings.REDIS_URL:
        doorbell.ring_stop(generation_id)


def announce_work() -> None:
    """Wake the workers once the surrounding transaction is committed."""
    transaction.on_commit(_ring_work)


def announce_stop(generation_id: UUID) -> None:
    """Tell the worker that writes a generation, once the transaction is committed."""
    transaction.on_commit(lambda: _ring_stop(generation_id))


def hang_chore_bell(bell: ChoreBell) -> None:
    _chore_bells.add(bell)


def remove_chore_bell(bell: ChoreBell) -> None:
    _chore_bells.discard(bell)


def announce_chore(conversation_id: UUID, kind: str) -> None:
    """Tell whoever does chores, once the transaction is committed."""
    transaction.on_commit(lambda: tell_chore(conversation_id, kind), robust=True)


def tell_chore(conversation_id: UUID, kind: str) -> None:
    """Have a chore done soon; nobody waits for a broker that is away."""
    for bell in tuple(_chore_bells):
        bell.loop.call_soon_threadsafe(bell.on_chore)
    if settings.REDIS_URL:
        _teller().tell(str(conversation_id), kind)


class _Teller:
    """Hands chores to Celery on a thread of its own, which may wait for the broker."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[str, str]] = queue.Queue(MAX_UNTOLD)
        threading.Thread(target=self._run, name="chores to Celery", daemon=True).start()

    def tell(self, *chore: str) -> None:
        try:
            self._waiting.put_nowait((chore[0], chore[1]))
        except queue.Full:
            logger.warning("A chore was not told: the broker does not take them")

    def _run(self) -> None:
        # Not before there is something to tell: most processes never need Celery.
        from kombu.exceptions import KombuError

        from chatbot.celery import app

        while True:
            chores = self._gather()
            try:
                app.send_task(TEND, args=(chores,), retry=False, ignore_result=True)
            except (KombuError, RedisError, OSError) as exc:
                logger.warning("%d chores were not told: %s", len(chores), type(exc).__name__)
            except Exception:
                # Without this thread no chore of this process would be told any more.
                logger.exception("%d chores were not told", len(chores))
            time.sleep(GATHER_S)

    def _gather(self) -> list[tuple[str, str]]:
        """Return what waits, once something does."""
        chores = [self._waiting.get()]
        while len(chores) < MAX_TOLD:
            try:
                chores.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return chores


@cache
def _teller() -> _Teller:
    return _Teller()
