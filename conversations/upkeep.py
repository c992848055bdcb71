"""Does what was marked after answers: summaries and titles, one try at a time.

The same code runs as a task of Celery and, in embedded mode, inside the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from chatbot.core.db import DatabaseAway, db_call
from chatbot.core.errors import ChatError
from conversations.chores import LEASE, ChoreLost, Hold, claim_chore, list_free, postpone_chore
from conversations.compaction import sum_up
from conversations.dispatch import ChoreBell, hang_chore_bell, remove_chore_bell, tell_chore
from conversations.models import ChoreKind
from conversations.summaries import MemoryMoved
from conversations.titles import name_conversation

logger = logging.getLogger(__name__)

# Less than the lease: who has not finished by then stops, and nobody works at the same beside it.
PATIENCE_S = LEASE.total_seconds() * 0.8
# In embedded mode, between looks for what nobody rang for.
LOOK_S = 30.0
# So many chores are told or done at a time.
AT_ONCE = 100

WORK: Mapping[ChoreKind, Callable[[Hold], Awaitable[None]]] = {
    ChoreKind.SUMMARY: sum_up,
    ChoreKind.TITLE: name_conversation,
}


async def tend(conversation_id: UUID, kind: ChoreKind) -> bool:
    """Do one chore, unless there is none or somebody is at it; say whether it was done.

    One that fails is left for later: conversations go on without it.
    """
    hold = await db_call(claim_chore, conversation_id, kind)
    if hold is None:
        return False
    try:
        async with asyncio.timeout(PATIENCE_S):
            await WORK[kind](hold)
    except ChoreLost:
        logger.info("The %s of %s was done by somebody else", kind, conversation_id)
    except (ChatError, MemoryMoved, TimeoutError) as exc:
        logger.warning("The %s of %s is left for later: %s", kind, conversation_id, _name(exc))
        await db_call(postpone_chore, hold)
    except DatabaseAway:
        # Its lease lapses.
        raise
    except Exception:
        logger.exception("The %s of %s failed unexpectedly", kind, conversation_id)
        await db_call(postpone_chore, hold)
    else:
        return True
    return False


def _name(exc: Exception) -> str:
    return exc.code if isinstance(exc, ChatError) else type(exc).__name__


def tell_all_free() -> None:
    """Have everything done that nobody is at, such as what a worker died of, or nobody told."""
    for conversation_id, kind in list_free(AT_ONCE):
        tell_chore(conversation_id, kind)


async def keep_up() -> None:
    """Do all chores in this process, one after another, until cancelled."""
    rung = asyncio.Event()
    bell = ChoreBell(rung.set)
    hang_chore_bell(bell)
    try:
        while True:
            rung.clear()
            try:
                for conversation_id, kind in await db_call(list_free, AT_ONCE):
                    await tend(conversation_id, kind)
            except DatabaseAway:
                logger.warning("The database is away; chores wait")
            except Exception:
                logger.exception("Chores are not done for now")
            await _wait(rung)
    finally:
        remove_chore_bell(bell)


async def _wait(rung: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_S):
            await rung.wait()
    except TimeoutError:
        return
