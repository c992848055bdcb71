"""Circuit breakers: a model that fails most of its calls is not asked for a while.

After Nygard, "Release It!", 2nd edition, chapter 5. Closed, calls go through and are counted in a
rolling window. Too many failures open it, and calls go elsewhere. Once it has cooled off, one call
at a time may try: its whole answer closes the breaker, its failure opens it for twice as long.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from chatbot.core.metrics import BREAKER
from chatbot.core.tasks import spawn
from llm.admission.slots import Quota
from llm.catalog import ModelSpec
from llm.errors import (
    AnswerDeclined,
    EmptyAnswer,
    ProviderAuthenticationFailed,
    ProviderError,
)

log = logging.getLogger(__name__)

# So many failures within two windows, and no fewer than there were successes, open a breaker.
FAILURES = 5
WINDOW_S = 10.0
# How long it stays open the first time; each probe that fails doubles it.
COOL_S = 5.0
LONGEST_COOL_S = 60.0
# A probe that says nothing for so long leaves its place to another.
PROBE_S = 20.0
# How long what a process knows of the others' breakers is good for.
KNOWN_S = 1.0
# How long an answer waits for the shared breakers, and for how long nobody does after one waited
# in vain.
PATIENCE_S = 0.25
AWAY_S = 5.0


class State(IntEnum):
    """What a breaker says to who wants to call now."""

    CLOSED = 0
    OPEN = 1
    PROBE = 2  # Open, but this caller may try.


@dataclass(frozen=True, slots=True)
class Report:
    """What a process saw of one model since it last told."""

    successes: int = 0
    failures: int = 0
    wants_probe: bool = False


class BreakerStore(Protocol):
    """Keeps the breakers that several processes share."""

    async def report(self, reports: Mapping[str, Report]) -> Mapping[str, State]:
        """Count what was seen and return each model's state. Raises OSError when it is away."""
        ...

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        ...


@dataclass(slots=True)
class Breaker:
    """One model's breaker; times are in seconds on one clock."""

    window_at: float = 0.0
    successes: int = 0
    failures: int = 0
    old_successes: int = 0
    old_failures: int = 0
    trips: int = 0
    open_until: float = 0.0
    probe_until: float = 0.0

    def report(self, seen: Report, *, now: float) -> State:
        """Count what was seen and return the state."""
        if self.trips:
            self._judge_probe(seen, now=now)
        else:
            self._count(seen, now=now)
        if not self.trips:
            return State.CLOSED
        if now < self.open_until or now < self.probe_until or not seen.wants_probe:
            return State.OPEN
        self.probe_until = now + PROBE_S
        return State.PROBE

    def _count(self, seen: Report, *, now: float) -> None:
        if now >= self.window_at + WINDOW_S:
            is_next = now < self.window_at + 2 * WINDOW_S
            self.old_successes = self.successes if is_next else 0
            self.old_failures = self.failures if is_next else 0
            self.successes = self.failures = 0
            self.window_at = now
        self.successes += seen.successes
        self.failures += seen.failures
        failed = self.failures + self.old_failures
        if failed >= FAILURES and failed >= self.successes + self.old_successes:
            self._open(now=now)

    def _judge_probe(self, seen: Report, *, now: float) -> None:
        if seen.successes:
            self.trips = 0
            self.open_until = self.probe_until = 0.0
        elif seen.failures and now >= self.open_until:
            self._open(now=now)

    def _open(self, *, now: float) -> None:
        self.open_until = now + min(LONGEST_COOL_S, COOL_S * 2**self.trips)
        self.trips += 1
        self.probe_until = 0.0
        self.successes = self.failures = self.old_successes = self.old_failures = 0


class BreakerGate:
    """Puts models whose breaker is open last, and keeps their breakers told.

    Someone who has no other model is never refused here: the last resort is asked all the same.
    Without a shared store, or while it is away, a process goes by what it saw itself.
    """

    def __init__(
        self, store: BreakerStore | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._own: defaultdict[str, Breaker] = defaultdict(Breaker)
        self._states: dict[str, State] = {}
        self._known_at: dict[str, float] = {}
        self._successes: Counter[str] = Counter()
        self._ask_again_at = -math.inf
        self._is_away = False

    async def arrange(self, route: Sequence[ModelSpec]) -> Sequence[ModelSpec]:
        reports: dict[str, Report] = {}
        # Who stands behind a model that answers will not be asked: it is none to try with.
        may_try = True
        # The last is asked whatever its breaker says.
        for spec in route[:-1]:
            if self._is_stale(spec.name):
                good = self._successes.pop(spec.name, 0)
                reports[spec.name] = Report(good, wants_probe=may_try)
            may_try = may_try and bool(self._states.get(spec.name))
        if reports:
            await self._share(reports, self._note_own(reports))
        ready = [spec for spec in route if self._states.get(spec.name) is not State.OPEN]
        return [*ready, *(spec for spec in route if spec not in ready)]

    def is_failing(self, spec: ModelSpec) -> bool:
        return self._states.get(spec.name) is State.OPEN

    async def enter(self, spec: ModelSpec) -> None:
        return

    def heard(self, spec: ModelSpec) -> None:
        # It may still break off: what counts is how it ends.
        return

    def told(self, spec: ModelSpec, quota: Quota) -> None:
        return

    def leave(self, spec: ModelSpec, error: ProviderError | None, *, was_heard: bool) -> None:
        if error is not None and _counts(error):
            self._tell_soon(spec.name, Report(self._successes.pop(spec.name, 0), failures=1))
        elif was_heard:
            self._successes[spec.name] += 1
            if self._states.get(spec.name):
                self._tell_soon(spec.name, Report(self._successes.pop(spec.name)))

    async def aclose(self) -> None:
        if self._store is not None:
            await self._store.aclose()

    async def find_open(self, models: Iterable[ModelSpec]) -> list[str]:
        """Return the names of those that are not asked at present, or only to try."""
        reports = {spec.name: Report() for spec in models}
        await self._share(reports, self._note_own(reports))
        return [name for name in reports if self._states.get(name)]

    def _is_stale(self, name: str) -> bool:
        if self._states.get(name):
            return True
        return self._clock() - self._known_at.get(name, -math.inf) >= KNOWN_S

    def _tell_soon(self, name: str, report: Report) -> None:
        own = self._note_own({name: report})
        if self._store is None or self._clock() < self._ask_again_at:
            self._take(own)
        else:
            _ = spawn(self._share({name: report}, own), name="circuit breaker")

    async def _share(self, reports: Mapping[str, Report], own: Mapping[str, State]) -> None:
        """Learn where the breakers stand for all processes, or else for this one."""
        self._take(await self._ask_store(reports) or own)

    def _note_own(self, reports: Mapping[str, Report]) -> Mapping[str, State]:
        now = self._clock()
        return {name: self._own[name].report(seen, now=now) for name, seen in reports.items()}

    async def _ask_store(self, reports: Mapping[str, Report]) -> Mapping[str, State] | None:
        """Return what all processes know together; None while that cannot be had soon."""
        if self._store is None or self._clock() < self._ask_again_at:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                states = await self._store.report(reports)
        except OSError as exc:
            # A TimeoutError is one too.
            if not self._is_away:
                log.warning("Breakers are this process's own for now: %s", type(exc).__name__)
            self._is_away = True
            self._ask_again_at = self._clock() + AWAY_S
            return None
        self._is_away = False
        return states

    def _take(self, states: Mapping[str, State]) -> None:
        now = self._clock()
        for name, state in states.items():
            if state is not self._states.get(name, State.CLOSED):
                log.info("The breaker of %s is now %s", name, state.name.lower())
            self._states[name] = state
            self._known_at[name] = now
            BREAKER.labels(model=name).set(state)


def _counts(error: ProviderError) -> bool:
    """Say whether a failure is the model's, and not the question's."""
    if isinstance(error, AnswerDeclined):
        return False
    return error.retryable or isinstance(error, ProviderAuthenticationFailed | EmptyAnswer)
