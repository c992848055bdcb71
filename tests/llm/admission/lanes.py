"""A lane in a test's hand: slots by name, and a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Sequence

from llm.admission.memory import MemorySlots
from llm.admission.slots import Ask, Lane, Quota, Refusal, Rules, View, Wish

LEASE_MS = 15_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


class OneLane:
    """Takes, accepts, refuses and releases by slot, as one worker does."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.clock = Clock()
        self.slots = MemorySlots(clock=self.clock)
        self.lane = Lane("provider", rules or Rules())
        self.numbers: dict[str, int] = {}
        self._made = 0

    def ask(self, **said: object) -> View:
        ask = Ask(self.lane, **said)  # type: ignore[arg-type]
        (view,) = self.slots.exchange([ask], lease_ms=LEASE_MS)
        return view

    def take(self, count: int, *, tokens: int = 0) -> list[str]:
        """Return the slots that were granted of so many."""
        names = [f"s{self._made + number}" for number in range(count)]
        self._made += count
        view = self.ask(take=[Wish(name, tokens) for name in names])
        held = names[: len(view.granted)]
        self.numbers.update(zip(held, view.granted, strict=True))
        return held

    def accept(self, slots: Sequence[str]) -> View:
        return self.ask(accepted=[self.numbers[slot] for slot in slots])

    def refuse(self, slots: Sequence[str], *, retry_after_ms: int | None = None) -> View:
        """Hear that the provider refused these calls, which are over with that."""
        refused = [Refusal(self.numbers[slot], retry_after_ms) for slot in slots]
        return self.ask(refused=refused, release=slots)

    def release(self, slots: Sequence[str]) -> View:
        return self.ask(release=slots)

    def hear(self, quota: Quota) -> View:
        return self.ask(quota=quota)
