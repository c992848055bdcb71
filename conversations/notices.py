"""Notices to a person's other devices, over the channel layer.

A doorbell: what changed is read from the API, and text comes from the event log only. A missing
channel loses notices, never content; one that is full says so with `notices.missed`.
"""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from channels.layers import get_channel_layer
from django.db import transaction

from chatbot.core.tasks import spawn

logger = logging.getLogger(__name__)

# A layer that takes longer has lost the notice; nobody waits for it.
NOTICE_S = 5.0


def group_of(user_id: UUID) -> str:
    return f"user.{user_id.hex}"


async def notify(user_id: UUID, kind: str, **fields: str) -> None:
    """Send a frame such as `conversation.updated` to every open socket of a person."""
    layer = get_channel_layer()
    if layer is None:
        return
    # With Redis away only this process's sockets hear of it: the change itself is committed, and
    # another device learns of it when it next looks.
    frame = {"type": kind, **fields}
    await layer.group_send(group_of(user_id), {"type": "notice", "frame": frame})


def notify_on_commit(
    loop: asyncio.AbstractEventLoop, user_id: UUID, kind: str, **fields: str
) -> None:
    """Send a notice in `loop` once the surrounding transaction is committed.

    It is a task of its own: whoever asked for the change may have left by then.
    """

    async def send() -> None:
        try:
            async with asyncio.timeout(NOTICE_S):
                await notify(user_id, kind, **fields)
        except TimeoutError:
            logger.warning("A notice was lost: the channel layer did not take it in time")

    def ring() -> asyncio.Task[None]:
        return spawn(send(), name="notice")

    # Robust: a loop that has ended has nobody to tell, and what is committed stays so.
    transaction.on_commit(lambda: loop.call_soon_threadsafe(ring), robust=True)
