"""What a worker holds, how it keeps it, and when it may take what others held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from uuid import UUID

from chatbot.core.db import DatabaseAway, db_call
from conversations.claims import heartbeat_s, renew_leases
from conversations.runner import GenerationRun

logger = logging.getLogger(__name__)


def patience_s() -> float:
    """Return how long a renewal is waited for; what it asked for may still be done."""
    return heartbeat_s() / 2


def retry_s() -> float:
    """Return the pause after a renewal that failed.

    Two may fail: a heartbeat, three times this patience and two of these pauses are one lease.
    """
    return heartbeat_s() / 4


class Leases:
    """Renews the leases of a worker's runs, for as long as it lives.

    When the database has been away for longer than a lease, everybody's have lapsed, and none of
    their holders is dead. So whoever found it away takes over nothing until it is back, its own
    leases are renewed, and others have had a heartbeat to renew theirs.
    """

    def __init__(self, owner: str, runs: Mapping[asyncio.Task[None], GenerationRun]) -> None:
        self._owner = owner
        self._runs = runs
        self._is_in_doubt = False
        self._take_over_at = 0.0

    @property
    def held(self) -> frozenset[UUID]:
        """What this worker writes, whatever the database says of its leases."""
        return frozenset(run.claim.generation_id for run in self._runs.values())

    def doubt(self) -> None:
        """Hear that the database did not do what this worker asked for."""
        self._is_in_doubt = True

    async def may_take_over(self) -> bool:
        """Say whether a lapsed lease means that its worker is dead."""
        if self._is_in_doubt:
            await self.renew()
        return not self._is_in_doubt and asyncio.get_running_loop().time() >= self._take_over_at

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(retry_s() if self._is_in_doubt else heartbeat_s())
            await self.renew()

    async def renew(self) -> None:
        """Renew what is held now, and end or stop the runs of which the database says so."""
        # Those that begin while the database is asked are not among what it answers.
        runs = tuple(self._runs.items())
        try:
            held = await self._ask({run.claim.generation_id for _, run in runs}) if runs else {}
        except (TimeoutError, *DatabaseAway):
            # Nobody can claim them while the database is away; a late finish decides.
            logger.warning("The leases of %d generations were not renewed", len(runs))
            self.doubt()
            return
        except Exception:
            # Whatever it is, the next renewal may be spared it.
            logger.exception("The leases of %d generations were not renewed", len(runs))
            self.doubt()
            return
        for task, run in runs:
            self._check_hold(task, run, held)
        if self._is_in_doubt:
            # With nothing to renew this is only a guess: the next claim tells.
            self._is_in_doubt = False
            self._take_over_at = asyncio.get_running_loop().time() + heartbeat_s()

    async def _ask(self, ids: set[UUID]) -> dict[UUID, bool]:
        async with asyncio.timeout(patience_s()):
            return await db_call(renew_leases, self._owner, ids)

    def _check_hold(
        self, task: asyncio.Task[None], run: GenerationRun, held: Mapping[UUID, bool]
    ) -> None:
        generation_id = run.claim.generation_id
        if held.get(generation_id):
            run.stop()
        # One that is being stored may have ended meanwhile, as it should.
        if generation_id not in held and not run.is_finishing and not task.done():
            logger.warning("Lost the lease of generation %s", generation_id)
            task.cancel()
