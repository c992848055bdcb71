"""Which stores answered lately, so that not every request finds out for itself.

A store that swallows packets costs each caller a timeout. Here the first failure is remembered
for a moment: meanwhile callers do without at once, and one of them at a time asks again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

# Long enough that a timeout costs few callers, short enough that a return is noticed at once.
MEMORY_S = 1.0
# What a person is told to wait: shorter, and they meet the same failure again.
RETRY_AFTER_S = 5.0


class Absence:
    """Remembers that a store is away; safe from any thread."""

    def __init__(
        self,
        name: str,
        *,
        memory_s: float = MEMORY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._memory_s = memory_s
        self._clock = clock
        self._lock = threading.Lock()
        self._ask_again_at: float | None = None

    @property
    def is_noted(self) -> bool:
        """True from a failure until the next success."""
        return self._ask_again_at is not None

    def may_try(self) -> bool:
        """Say whether to ask the store; while it is away, one caller in each moment may."""
        if not self.is_noted:
            return True
        with self._lock:
            now = self._clock()
            may = self._ask_again_at is None or now >= self._ask_again_at
            if may:
                self._ask_again_at = now + self._memory_s
            return may

    def note_failure(self, exc: BaseException) -> None:
        with self._lock:
            was_noted = self.is_noted
            self._ask_again_at = self._clock() + self._memory_s
        if not was_noted:
            logger.warning("%s is away: %s", self._name, type(exc).__name__)

    def note_answer(self) -> None:
        if not self.is_noted:
            return
        with self._lock:
            was_noted = self.is_noted
            self._ask_again_at = None
        if was_noted:
            logger.warning("%s is back", self._name)


DATABASE = Absence("The database")
REDIS = Absence("Redis")
