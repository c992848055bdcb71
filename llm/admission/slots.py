"""What a worker and the keeper of all slots say to each other.

A slot is the right to one call at a provider. It is a lease: who does not renew it, because its
process was killed, has lost it, so that nothing has to be counted back. Everything that a worker
has to say goes out together, and what it wants comes back with the reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class SlotsAway(Exception):
    """The keeper of the slots does not answer. What was said may have been heard."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator knows of a lane's limits; None leaves one to be found out."""

    ceiling: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """Calls that share one limit at a provider."""

    name: str
    rules: Rules = Rules()


@dataclass(frozen=True, slots=True)
class Quota:
    """What a provider's response said of its limits: per minute, and left of them."""

    requests_per_minute: int | None = None
    requests_left: int | None = None
    tokens_per_minute: int | None = None
    tokens_left: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that the provider would not take now; `number` is its slot's."""

    number: int
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A slot that is wanted under this id, for a call of at most so many tokens."""

    slot: str
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """What one worker has to say of one lane, and wants of it.

    `accepted` are the numbers of slots whose calls the provider has taken, `held_ms` how long
    those that are released were held, `tokens_back` what their calls used less than was thought.
    Slots of `renew` that have lapsed are held again: their calls are open all the same.
    """

    lane: Lane
    take: Sequence[Wish] = ()
    renew: Sequence[str] = ()
    release: Sequence[str] = ()
    accepted: Sequence[int] = ()
    refused: Sequence[Refusal] = ()
    held_ms: Sequence[int] = ()
    tokens_back: int = 0
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A lane after an exchange.

    `granted` are the numbers of the first slots that were wanted, as many as there were. `served`
    and `refused` count calls since the lane began, `held_ms` is what one takes lately (0: unknown).
    `now_ms` is the keeper's clock.
    """

    granted: tuple[int, ...]
    limit: float
    in_flight: int
    rest_ms: int
    served: int
    refused: int
    held_ms: float
    now_ms: int


class Slots(Protocol):
    """The keeper of all slots. Safe from any thread; everything may raise SlotsAway."""

    def exchange(self, asks: Sequence[Ask], *, lease_ms: int) -> list[View]:
        """Hear and answer for each lane, at once for all workers."""

    def hold_role(self, role: str, owner: str, *, lease_ms: int) -> bool:
        """Take or renew a role that one process has at a time; False if another one has it."""

    def publish(self, name: str, value: bytes, *, keep_ms: int) -> None:
        """Let everybody read a value until it is replaced or its time is over."""

    def read(self, name: str) -> bytes | None:
        """Return what was last published under a name."""
