"""The only place that wakes workers. A wake-up is a hint: the database is the truth.

Workers also look for work on their own, so a lost wake-up costs a moment and no answer. Workers
of this process hear their bells; those of other processes hear the doorbell in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db import transaction

from conversations import doorbell


@dataclass(eq=False)
class Bell:
    """Rings in a worker's event loop, from any thread."""

    on_work: Callable[[], None]
    on_stop: Callable[[UUID], None]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


_bells: set[Bell] = set()


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
