"""The generation worker: claims what waits, keeps its leases, and lets go in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from uuid import UUID

from django.db import Error as DatabaseAway

from chatbot.core.db import db_call
from chatbot.core.metrics import RUNNING
from chatbot.core.tasks import spawn
from conversations.dispatch import Bell, hang_bell, remove_bell
from conversations.eventlog import EventLog, Fenced
from conversations.generations import (
    HEARTBEAT_S,
    Claim,
    LeaseLost,
    claim_waiting,
    fail_abandoned,
    hand_over,
    renew_lease,
)
from conversations.queueboard import QueueBoard
from conversations.runner import GenerationRun
from conversations.terminals import log_ended

logger = logging.getLogger(__name__)

# How soon a generation starts whose wake-up was lost.
POLL_S = 1.0
REAP_S = 30.0


class GenerationWorker:
    """Runs up to `concurrency` generations at once under one owner name."""

    def __init__(self, *, owner: str, concurrency: int, log: EventLog) -> None:
        self._owner = owner
        self._concurrency = concurrency
        self._log = log
        self._runs: dict[asyncio.Task[None], GenerationRun] = {}
        self._wake = asyncio.Event()
        self._is_draining = False
        self._reap_at = 0.0
        self._board = QueueBoard(log, slots=concurrency)

    @property
    def running(self) -> int:
        return len(self._runs)

    async def run(self) -> None:
        """Work until drained. Survives a database that is away for a while."""
        bell = Bell(on_work=self._wake.set, on_stop=self._stop)
        hang_bell(bell)
        heartbeat = spawn(self._keep_leases(), name="lease heartbeat")
        try:
            while not self._is_draining:
                self._wake.clear()
                await self._look_for_work()
                await self._sleep_until_woken()
        finally:
            heartbeat.cancel()
            remove_bell(bell)

    async def drain(self, *, grace_s: float) -> None:
        """Take no new work, give running answers `grace_s` seconds, hand over the rest."""
        self._is_draining = True
        self._wake.set()
        if not self._runs:
            return
        _, late = await asyncio.wait(set(self._runs), timeout=grace_s)
        await self._let_go(late)

    async def _let_go(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        runs = {task: self._runs[task] for task in tasks}
        for task in runs:
            task.cancel()
        if runs:
            await asyncio.wait(set(runs))
        for run in runs.values():
            await db_call(hand_over, run.claim)

    async def _look_for_work(self) -> None:
        try:
            await self._fill_slots()
            await self._reap()
        except Exception:
            # The worker outlives whatever goes wrong; what it did not do is still in the database.
            logger.exception("Looking for work failed; trying again")

    async def _reap(self) -> None:
        """End what no worker can finish, and tell its readers."""
        now = asyncio.get_running_loop().time()
        if now < self._reap_at:
            return
        self._reap_at = now + REAP_S
        for ended in await db_call(fail_abandoned):
            await log_ended(ended, self._log)

    async def _fill_slots(self) -> None:
        free = self._concurrency - len(self._runs)
        if free and not self._is_draining:
            for claim in await db_call(claim_waiting, self._owner, free):
                self._run(claim)
        await self._board.post(is_full=len(self._runs) >= self._concurrency)

    def _run(self, claim: Claim) -> None:
        run = GenerationRun(claim, self._log)
        task = spawn(self._guard(run), name=f"generation {claim.generation_id}")
        self._runs[task] = run
        RUNNING.inc()
        task.add_done_callback(self._forget)

    async def _guard(self, run: GenerationRun) -> None:
        try:
            await run.run()
        except (LeaseLost, Fenced):
            logger.warning("Generation %s went to another worker", run.claim.generation_id)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._runs[task]
        RUNNING.dec()
        self._wake.set()

    def _stop(self, generation_id: UUID) -> None:
        for run in self._runs.values():
            if run.claim.generation_id == generation_id:
                run.stop()

    async def _sleep_until_woken(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for task, run in tuple(self._runs.items()):
                await self._keep_lease(task, run)

    async def _keep_lease(self, task: asyncio.Task[None], run: GenerationRun) -> None:
        try:
            if await db_call(renew_lease, run.claim):
                run.stop()
        except LeaseLost:
            if not task.done():
                logger.warning("Lost the lease of generation %s", run.claim.generation_id)
                task.cancel()
        except DatabaseAway:
            # Nobody can claim it while the database is away; its late finish decides.
            logger.warning("The lease of generation %s was not renewed", run.claim.generation_id)
