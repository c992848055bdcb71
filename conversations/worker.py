"""The generation worker: claims what waits, keeps its leases, and lets go in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

from django.conf import settings

from chatbot.core.db import DatabaseAway, db_call
from chatbot.core.metrics import RUNNING
from chatbot.core.tasks import spawn
from conversations.admission import SlotAdmission, Work, take_work
from conversations.claims import LeaseLost, heartbeat_s
from conversations.dispatch import Bell, announce_work, hang_bell, hear_other_processes, remove_bell
from conversations.eventlog import EventLog, Fenced
from conversations.generations import hand_over_generation
from conversations.leases import Leases
from conversations.queueboard import QueueBoard
from conversations.reaper import reap
from conversations.runner import GenerationRun
from conversations.workers import REPORT_S, WorkerLoad, remove_worker, report_worker
from llm.admission.desk import Desk
from llm.admission.gate import SlotGate
from llm.admission.slots import Lane
from llm.conf import get_registry, get_slots
from llm.errors import ProviderBusy
from moderation.judging import get_ready

logger = logging.getLogger(__name__)

P = TypeVar("P")

# How soon a generation starts whose wake-up was lost, or whose worker has fallen silent.
POLL_S = 1.0
# How often a line is told of, at most; and which part of its time a worker spends on it.
BOARD_S = 1.0
BOARD_SHARE = 0.1
# What an answer that is being stored may take on top of a drain's grace.
STORE_S = 2.0
# Stops heard of, for generations that are only just being claimed.
STOPS_KEPT = 256


class GenerationWorker:
    """Runs up to `concurrency` generations at once under one owner name."""

    def __init__(self, *, owner: str, concurrency: int, log: EventLog) -> None:
        self._owner = owner
        self._concurrency = concurrency
        self._log = log
        self._runs: dict[asyncio.Task[None], GenerationRun] = {}
        self._wake = asyncio.Event()
        self._has_room = asyncio.Event()
        self._stopped: deque[UUID] = deque(maxlen=STOPS_KEPT)
        self._is_draining = False
        self._has_stopped_looking = asyncio.Event()
        self._has_stopped_looking.set()
        self._is_drained = asyncio.Event()
        self._poll_at = 0.0
        self._leases = Leases(owner, self._runs)
        self._desk = Desk(get_slots(), lease_s=settings.GENERATION_LEASE_S)
        self._admission = SlotAdmission(
            self._desk, lambda model: get_registry().lanes_to_ask(model)
        )
        self._board = QueueBoard(log, get_slots(), self._desk.name)
        self._has_line = asyncio.Event()

    @property
    def running(self) -> int:
        return len(self._runs)

    async def run(self) -> None:
        """Work until drained. Survives a database that is away for a while."""
        bell = Bell(on_work=self._wake.set, on_stop=self._stop)
        hang_bell(bell)
        companions = [
            spawn(self._leases.keep(), name="lease heartbeat"),
            spawn(self._keep_slots(), name="slot heartbeat"),
            spawn(self._report(), name="worker report"),
            spawn(self._hear(bell), name="doorbell"),
        ]
        # These wait for the log, which may be away: no claim waits for them, and no drain.
        lookers_on = [
            spawn(self._tell_line(), name="queue board"),
            spawn(reap(self._log), name="reaper"),
        ]
        try:
            await asyncio.to_thread(get_ready)
            self._has_stopped_looking.clear()
            try:
                while not self._is_draining:
                    self._wake.clear()
                    await self._look_for_work()
                    await self._sleep_until_woken()
            finally:
                self._has_stopped_looking.set()
                for task in lookers_on:
                    task.cancel()
            # What still runs keeps its lease, and hears when it is to stop.
            await self._is_drained.wait()
        finally:
            remove_bell(bell)
            for task in companions:
                task.cancel()
            await asyncio.wait([*companions, *lookers_on])

    async def drain(self, *, grace_s: float) -> None:
        """Take no new work, give running answers `grace_s` seconds, hand over the rest."""
        self._is_draining = True
        self._has_room.clear()
        self._wake.set()
        # What is being claimed at this moment is among the runs by then.
        await self._has_stopped_looking.wait()
        try:
            await self._end_runs(grace_s)
        finally:
            self._is_drained.set()

    async def _end_runs(self, grace_s: float) -> None:
        await self._try_report()
        if self._runs:
            _, late = await asyncio.wait(set(self._runs), timeout=grace_s)
            ending = {task for task in late if self._runs[task].is_finishing}
            if ending:
                # What is being stored is done in a moment, and has its end to tell.
                await asyncio.wait(ending, timeout=STORE_S)
            await self._let_go(task for task in late if not task.done())
        await asyncio.to_thread(self._desk.tell)
        otherwise = "It will be noticed that this worker is gone"
        await self._try(remove_worker, self._owner, otherwise=otherwise)

    async def _let_go(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        runs = {task: self._runs[task] for task in tasks}
        for task in runs:
            task.cancel()
        if runs:
            await asyncio.wait(set(runs))
        for run in runs.values():
            await self._hand_over(_hand_over_at_once, run)

    async def _hand_over(self, how: Callable[[GenerationRun], object], run: GenerationRun) -> None:
        otherwise = f"{run.claim.generation_id} waits for its lease to lapse"
        await self._try(how, run, otherwise=otherwise)

    async def _look_for_work(self) -> None:
        try:
            await self._fill_slots()
        except Exception:
            # The worker outlives whatever goes wrong; what it did not do is still in the database.
            logger.exception("Looking for work failed; trying again")
            self._leases.doubt()

    async def _fill_slots(self) -> None:
        now = asyncio.get_running_loop().time()
        is_poll = now >= self._poll_at
        if is_poll:
            self._poll_at = now + POLL_S
        takes_over = is_poll and await self._leases.may_take_over()
        await self._claim(takes_over=takes_over)
        if is_poll:
            # What nobody has asked to hear of meanwhile.
            await asyncio.to_thread(self._desk.tell)
        self._note_room()
        self._note_line()

    async def _claim(self, *, takes_over: bool) -> None:
        free = self._concurrency - len(self._runs)
        if not free or self._is_draining:
            return
        try:
            found = await db_call(
                take_work,
                self._admission,
                self._owner,
                free,
                # What this worker writes it does not take from itself.
                but=self._leases.held if takes_over else None,
            )
        except BaseException:
            # It may still be at it, and nobody would give back the slots that it takes.
            self._admission.give_up()
            raise
        for generation_id in found.taken_over:
            logger.warning("Generation %s lost its worker; taken over", generation_id)
        for work in found.work:
            self._run(work)
        if found.is_short:
            # One lane is full by now; others may not be.
            self._wake.set()

    def _note_room(self) -> None:
        if len(self._runs) < self._concurrency and not self._is_draining:
            self._has_room.set()
        else:
            self._has_room.clear()

    def _note_line(self) -> None:
        if self._has_room.is_set() and not self._admission.shut:
            self._has_line.clear()
        else:
            self._has_line.set()

    def _run(self, work: Work) -> None:
        gate = SlotGate(
            self._desk,
            work.slot,
            lane_of=lambda spec: get_registry().lane(spec),
            tokens=work.generation.reserved_tokens,
            on_news=self._hear_of_lane,
            inner=get_registry().means.gate,
        )
        run = GenerationRun(work.claim, work.generation, self._log, gate)
        if work.claim.generation_id in self._stopped:
            run.stop()
        task = spawn(self._guard(run), name=f"generation {work.claim.generation_id}")
        self._runs[task] = run
        RUNNING.inc()
        task.add_done_callback(self._forget)

    async def _guard(self, run: GenerationRun) -> None:
        try:
            await run.run()
        except (LeaseLost, Fenced):
            logger.warning("Generation %s went to another worker", run.claim.generation_id)
        except ProviderBusy:
            await self._put_back(run)

    async def _put_back(self, run: GenerationRun) -> None:
        """Let a generation that nobody takes now wait again, in its old place."""
        if not run.was_refused:
            # No limit has learned of it.
            self._admission.shun(run.generation.routed_model)
        await self._hand_over(_hand_over, run)
        self._wake.set()

    def _hear_of_lane(self, lane: Lane) -> None:
        # Somebody may be waiting for a slot there; otherwise nobody is.
        if self._has_line.is_set() and not self._desk.is_shut(lane):
            self._wake.set()

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._runs[task]
        RUNNING.dec()
        if not self._has_room.is_set():
            # Somebody may be waiting for this place; otherwise nobody is.
            self._note_room()
            self._wake.set()

    def _stop(self, generation_id: UUID) -> None:
        # It may just be on its way here.
        self._stopped.append(generation_id)
        for run in self._runs.values():
            if run.claim.generation_id == generation_id:
                run.stop()
                return
        # One that waits needs no slot any more.
        self._wake.set()

    async def _sleep_until_woken(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _tell_line(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._has_line.wait()
            began = clock()
            try:
                await self._board.post()
            except Exception:
                logger.exception("The line was not told of; trying again")
            await asyncio.sleep(max(BOARD_S, (clock() - began) / BOARD_SHARE))

    async def _keep_slots(self) -> None:
        while True:
            await asyncio.sleep(heartbeat_s())
            try:
                await asyncio.to_thread(self._desk.renew)
            except Exception:
                # Whatever it is, the next renewal may be spared it.
                logger.exception("The slots of this worker were not renewed")

    async def _hear(self, bell: Bell) -> None:
        while True:
            try:
                await hear_other_processes(bell, self._has_room)
                return
            except Exception:
                logger.exception("The doorbell is not heard; listening again")
            await asyncio.sleep(POLL_S)

    async def _report(self) -> None:
        while True:
            await self._try_report()
            await asyncio.sleep(REPORT_S)

    async def _try_report(self) -> None:
        load = WorkerLoad(self._owner, len(self._runs), self._concurrency, self._is_draining)
        await self._try(report_worker, load, otherwise="The worker could not report itself")

    async def _try(self, work: Callable[[P], object], given: P, *, otherwise: str) -> None:
        """Do what the worker goes on without, and say so."""
        try:
            await db_call(work, given)
        except DatabaseAway:
            logger.warning("The database is away. %s", otherwise)
        except Exception:
            logger.exception("%s", otherwise)


def _hand_over(run: GenerationRun) -> bool:
    return hand_over_generation(run.claim, run.generation, run.calls)


def _hand_over_at_once(run: GenerationRun) -> None:
    if _hand_over(run):
        announce_work()
