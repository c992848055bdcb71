"""Workers that a test starts and ends itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatbot.core.tasks import spawn
from conversations.eventlog import EventLog
from conversations.worker import GenerationWorker


@asynccontextmanager
async def working(
    log: EventLog, owner: str, *, concurrency: int = 2
) -> AsyncIterator[GenerationWorker]:
    worker = GenerationWorker(owner=owner, concurrency=concurrency, log=log)
    task = spawn(worker.run(), name=f"worker {owner}")
    try:
        yield worker
    finally:
        await worker.drain(grace_s=5)
        await task
