"""Celery front doors of the conversations; embedded mode does the same in its own process."""

from __future__ import annotations

import asyncio
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from conversations.dispatch import TEND
from conversations.escalating import write_events
from conversations.models import ChoreKind
from conversations.retention import expire
from conversations.search.indexing import index_due
from conversations.upkeep import tell_all_free, tend
from llm.conf import get_registry
from moderation.policies import read_policy, set_policy

# Whoever waits for the next turn of the schedule waits no longer than for this one.
INDEX_S = 2.0
EXPIRE_S = 2.0


@shared_task(name="conversations.index_messages")
def index_messages() -> None:
    index_due(within_s=INDEX_S)


@shared_task(name="conversations.write_moderation_events")
def write_moderation_events() -> None:
    write_events()


@shared_task(name=TEND)
def tend_all(chores: list[tuple[str, str]]) -> None:
    # Nobody follows it here: a task is over sooner than it would be read again.
    set_policy(read_policy())

    async def work() -> None:
        try:
            # They fail for themselves, but for a database that is away from all of them.
            async with asyncio.TaskGroup() as group:
                for conversation_id, kind in chores:
                    group.create_task(tend(UUID(conversation_id), ChoreKind(kind)))
        finally:
            await get_registry().aclose()

    asyncio.run(work())


@shared_task(name="conversations.sweep_chores")
def sweep_chores() -> None:
    tell_all_free()


@shared_task(name="conversations.expire")
def expire_old() -> None:
    expire(now=timezone.now(), within_s=EXPIRE_S)
