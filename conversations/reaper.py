"""Ends generations that no worker can finish."""

from __future__ import annotations

import asyncio
import logging

from chatbot.core.db import db_call
from conversations.attempts import read_text
from conversations.eventlog import EventLog, LogAway, StreamKey
from conversations.events import EventType
from conversations.generations import fail_abandoned, list_abandoned
from conversations.models import Generation
from conversations.queries import try_cipher
from conversations.terminals import forget_logs, log_ended

logger = logging.getLogger(__name__)

REAP_S = 30.0


async def reap(log: EventLog) -> None:
    """Fail, until cancelled, what took too many workers with it, and tell its readers."""
    while True:
        try:
            for generation in await db_call(list_abandoned):
                await _end(generation, log)
        except Exception:
            logger.exception("What was abandoned is not ended yet; trying again")
        await asyncio.sleep(REAP_S)


async def _end(generation: Generation, log: EventLog) -> None:
    key = StreamKey(generation.conversation_id, generation.pk, try_cipher(generation.conversation))
    try:
        text = await read_text(log, key)
    except LogAway:
        # Its lane of the log alone may be away.
        logger.warning("%s waits for its log to be ended", generation.pk)
        return
    ended = await db_call(fail_abandoned, generation, text)
    if ended is None:
        return
    if ended.events[-1].type is EventType.HALTED:
        await forget_logs([key], log)
    await log_ended(ended, log)
