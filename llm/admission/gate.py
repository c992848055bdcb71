"""One answer's way to its providers: a slot for each call, and word of what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from chatbot.core.tasks import spawn
from llm.admission.desk import ASK_AGAIN_S, Desk, Held
from llm.admission.slots import Lane
from llm.catalog import ModelSpec
from llm.errors import ProviderBusy


class Gate(Protocol):
    """What the engine passes with each call to a provider."""

    @property
    def waits_elsewhere(self) -> bool:
        """Whether a call that is refused waits in the caller's queue instead of in the engine."""

    async def enter(self, spec: ModelSpec) -> None:
        """Return once a call to this model may be made. Raises ProviderBusy when not now."""

    def accepted(self) -> None:
        """Hear that the provider took the call."""

    def refused(self, retry_after_s: float | None) -> None:
        """Hear that the provider did not take the call, because it takes too many already."""


class OpenGate:
    """The gate without limits."""

    waits_elsewhere = False

    async def enter(self, spec: ModelSpec) -> None:
        pass

    def accepted(self) -> None:
        pass

    def refused(self, retry_after_s: float | None) -> None:
        pass


class SlotGate:
    """Lets one answer's calls through, one at a time, each with a slot of its model's lane.

    A slot stays with the answer from call to call in one lane, until the provider refuses one.
    `on_news` is called when what happened may let somebody else in.
    """

    waits_elsewhere = True

    def __init__(
        self,
        desk: Desk,
        slot: Held | None,
        *,
        lane_of: Callable[[ModelSpec], Lane],
        tokens: int,
        on_news: Callable[[Lane], None],
    ) -> None:
        self._desk = desk
        self._slot = slot
        self._lane_of = lane_of
        self._tokens = tokens
        self._on_news = on_news
        self._is_accepted = False
        self._is_used = False
        self.was_refused = False

    async def enter(self, spec: ModelSpec) -> None:
        lane = self._lane_of(spec)
        if self._slot is None or self._slot.lane.name != lane.name:
            self.leave()
            if self._desk.is_resting(lane):
                raise ProviderBusy(retry_after_s=ASK_AGAIN_S)
            self._slot = await self._take(lane)
        self._is_accepted = False
        self._is_used = True

    def accepted(self) -> None:
        if self._slot is not None and not self._is_accepted:
            self._is_accepted = True
            self._desk.accepted(self._slot)
            self._on_news(self._slot.lane)

    def refused(self, retry_after_s: float | None) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self.was_refused = True
            self._desk.refused(slot, retry_after_s=retry_after_s)
            self._on_news(slot.lane)

    def leave(self, *, used_tokens: int | None = None) -> None:
        """Give the slot back. There is no call after this, or one in another lane."""
        slot, self._slot = self._slot, None
        if slot is None:
            return
        if self._is_used:
            self._desk.release(slot, used_tokens=used_tokens)
        else:
            self._desk.put_back([slot])
        self._is_used = False
        self._on_news(slot.lane)

    async def _take(self, lane: Lane) -> Held:
        taking = spawn(asyncio.to_thread(self._desk.take, [(lane, self._tokens)]), name="slot")
        try:
            (slot,) = await asyncio.shield(taking)
        except asyncio.CancelledError:
            # A slot that comes too late belongs to nobody.
            taking.add_done_callback(self._put_back)
            raise
        if slot is None:
            raise ProviderBusy(retry_after_s=ASK_AGAIN_S)
        return slot

    def _put_back(self, taking: asyncio.Task[list[Held | None]]) -> None:
        if not taking.cancelled() and taking.exception() is None:
            self._desk.put_back(slot for slot in taking.result() if slot is not None)
