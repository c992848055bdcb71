"""One answer's way to its providers: a slot for each call, and word of what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from chatbot.core.tasks import spawn
from llm.admission.desk import ASK_AGAIN_S, Desk, Held
from llm.admission.slots import Lane, Quota
from llm.catalog import ModelSpec
from llm.errors import REFUSALS, ProviderBusy, ProviderError
from llm.gate import Gate


class SlotGate:
    """Lets one answer's calls through, one at a time, each with a slot of its model's lane.

    See `llm.gate.Gate`; `inner` is one that all answers share. A slot stays with the answer from
    call to call in one lane, until the provider refuses one. `on_news` is called when what
    happened may let somebody else in.
    """

    def __init__(
        self,
        desk: Desk,
        slot: Held | None,
        *,
        lane_of: Callable[[ModelSpec], Lane],
        tokens: int,
        on_news: Callable[[Lane], None],
        inner: Gate,
    ) -> None:
        self._desk = desk
        self._slot = slot
        self._lane_of = lane_of
        self._tokens = tokens
        self._on_news = on_news
        self._inner = inner
        self._is_used = False
        # Whether a provider refused a call, and whether one was not made for want of a slot.
        self.was_refused = False
        self.was_busy = False

    @property
    def may_wait(self) -> bool:
        """Whether some model would have answered, but not now."""
        return self.was_refused or self.was_busy

    async def arrange(self, route: Sequence[ModelSpec]) -> Sequence[ModelSpec]:
        """Return the models that fail, or whose provider turns calls away, last."""
        arranged = await self._inner.arrange(route)
        return sorted(arranged, key=lambda spec: self._turns_away(spec) or self.is_failing(spec))

    def is_failing(self, spec: ModelSpec) -> bool:
        return self._inner.is_failing(spec)

    def _turns_away(self, spec: ModelSpec) -> bool:
        return self._desk.turns_away(self._lane_of(spec))

    async def enter(self, spec: ModelSpec) -> None:
        lane = self._lane_of(spec)
        # Somebody will answer: all that wait for them would ask in vain, again and again.
        is_in_vain = self.may_wait and self.is_failing(spec)
        if self._slot is None or self._slot.lane.name != lane.name:
            self.close()
            if not self._desk.is_resting(lane) and not is_in_vain:
                self._slot = await self._take(lane)
        if self._slot is None or is_in_vain:
            self.was_busy = True
            raise ProviderBusy(retry_after_s=ASK_AGAIN_S)
        self._is_used = True
        await self._inner.enter(spec)

    def heard(self, spec: ModelSpec) -> None:
        self._inner.heard(spec)
        if self._slot is not None:
            self._desk.accepted(self._slot)
            self._on_news(self._slot.lane)

    def told(self, spec: ModelSpec, quota: Quota) -> None:
        self._desk.hear_quota(self._lane_of(spec), quota)

    def leave(self, spec: ModelSpec, error: ProviderError | None, *, was_heard: bool) -> None:
        """Hear how a call ended; one that was refused has no slot any more."""
        slot = self._slot
        # One that says so after its first text had taken the call.
        if slot is None or was_heard or not isinstance(error, REFUSALS):
            self._inner.leave(spec, error, was_heard=was_heard)
            return
        # Being asked too much is no failure of the model, as long as less helps.
        counts = self._desk.is_at_floor(slot.lane)
        self._inner.leave(spec, error if counts else None, was_heard=False)
        self._slot = None
        self.was_refused = True
        self._desk.refused(slot, retry_after_s=error.retry_after_s)
        self._on_news(slot.lane)

    def close(self, *, used_tokens: int | None = None) -> None:
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

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _take(self, lane: Lane) -> Held | None:
        taking = spawn(asyncio.to_thread(self._desk.take, [(lane, self._tokens)]), name="slot")
        try:
            (slot,) = await asyncio.shield(taking)
        except asyncio.CancelledError:
            # A slot that comes too late belongs to nobody.
            taking.add_done_callback(self._put_back)
            raise
        return slot

    def _put_back(self, taking: asyncio.Task[list[Held | None]]) -> None:
        if not taking.cancelled() and taking.exception() is None:
            self._desk.put_back(slot for slot in taking.result() if slot is not None)
