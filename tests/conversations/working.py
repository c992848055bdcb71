"""A generation worker for as long as a test wants one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatbot.core.tasks import spawn
from conversations.eventlog import EventLog
from conversations.worker import GenerationWorker


@asynccontextmanager
async def running_worker(log: EventLog, *, concurrency: int = 4) -> AsyncIterator[GenerationWorker]:
    worker = GenerationWorker(owner="test", concurrency=concurrency, log=log)
    task = spawn(worker.run(), name="worker under test")
    try:
        yield worker
    finally:
        await worker.drain(grace_s=0)
        await task
