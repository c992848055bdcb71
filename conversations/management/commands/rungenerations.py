from __future__ import annotations

import asyncio
import os
import signal
import socket
from argparse import ArgumentParser
from typing import Any
from uuid import uuid4

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chatbot.core.heap import leave_out_what_stays
from chatbot.core.tasks import spawn
from conversations.eventlog import get_event_log
from conversations.overrides import follow_overrides
from conversations.scales import follow_scales
from conversations.worker import GenerationWorker
from llm.conf import get_registry
from moderation.policies import follow_policy


def owner_name() -> str:
    """Return a name that no other worker has, now or later."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid4().hex[:8]}"


class Command(BaseCommand):
    help = (
        "Write answers: takes queued generations, asks the models, feeds the event log and stores "
        "what was said. Run as many as there is work for. SIGTERM lets running answers finish for "
        "DRAIN_GRACE_S seconds and hands the rest to other workers; a second one ends at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--concurrency",
            type=int,
            default=settings.GENERATION_CONCURRENCY,
            help="answers written at once (GENERATION_CONCURRENCY, now %(default)s)",
        )

    def handle(self, *, concurrency: int, **_: Any) -> None:
        if concurrency < 1:
            raise CommandError("--concurrency must be at least 1.")
        if not settings.REDIS_URL:
            raise CommandError(
                "Set REDIS_URL: without it, only the process that accepts messages can write "
                "answers. `manage.py serve` does both."
            )
        # A worker's time goes into sockets; unlike a web process it takes no bursts of new ones.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._work(owner_name(), concurrency))

    async def _work(self, owner: str, concurrency: int) -> None:
        await get_registry().import_sdks()
        log = get_event_log()
        worker = GenerationWorker(owner=owner, concurrency=concurrency, log=log)
        following = spawn(follow_overrides(), name="model overrides")
        learning = spawn(follow_scales(), name="token scales")
        judging = spawn(follow_policy(), name="moderation policy")
        working = spawn(worker.run(), name="generation worker")
        leave_out_what_stays()
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told.set)
        self._say(f"{owner} writes up to {concurrency} answers at once.")
        ending = spawn(told.wait(), name="signal")
        await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
        try:
            if working.done():
                await working
                return
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, os._exit, 1)
            self._say(f"{owner} finishes what it writes.")
            await worker.drain(grace_s=settings.DRAIN_GRACE_S)
            await working
        finally:
            ending.cancel()
            following.cancel()
            learning.cancel()
            judging.cancel()
            await get_registry().aclose()
            await log.aclose()
        self._say(f"{owner} is done.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
