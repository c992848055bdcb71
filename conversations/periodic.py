"""The periodic tasks of Celery beat, run inside the process: same schedule, same tasks."""

from __future__ import annotations

import asyncio
import logging

from celery import Celery

from chatbot.core.db import db_call

logger = logging.getLogger(__name__)


async def run_schedule(app: Celery) -> None:
    """Run every entry of the beat schedule at its interval, until cancelled."""
    app.loader.import_default_modules()
    async with asyncio.TaskGroup() as group:
        for entry in app.conf.beat_schedule.values():
            group.create_task(_repeat(app, entry["task"], float(entry["schedule"])))


async def _repeat(app: Celery, task_name: str, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await db_call(app.tasks[task_name].run)
        except Exception:
            logger.exception("The periodic task %s failed", task_name)
