"""One worker's side of admission: the slots it holds, and what it has still to say of them.

What happens to a call is noted at once and without waiting; it goes to the keeper of the slots with
the next thing that is asked of it. While the keeper is away a worker goes on alone: with as many
slots as it holds at that moment, one at least, and a limit that adapts from there.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from time import monotonic
from uuid import uuid4

from llm.admission.limiter import FLOOR, MAX_REST_MS, LaneState
from llm.admission.memory import MemorySlots, monotonic_ms
from llm.admission.slots import Ask, Lane, Quota, Refusal, Slots, SlotsAway, View, Wish

logger = logging.getLogger(__name__)

# How soon a lane that was full is asked again, when nothing is heard of it.
ASK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """A slot that this worker holds."""

    id: str
    lane: Lane
    number: int
    tokens: int
    since: float


@dataclass(slots=True)
class _News:
    """What is to be said of one lane."""

    lane: Lane
    release: list[str] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    held_ms: list[int] = field(default_factory=list)
    tokens_back: int = 0
    quota: Quota | None = None

    def ask(self, lane: Lane, *, take: Sequence[Wish], renew: Sequence[str]) -> Ask:
        return Ask(
            lane,
            take=take,
            renew=renew,
            release=self.release,
            accepted=self.accepted,
            refused=self.refused,
            held_ms=self.held_ms,
            tokens_back=self.tokens_back,
            quota=self.quota,
        )


class Desk:
    """Safe from any thread. What says so asks the keeper: not to be called in an event loop."""

    def __init__(
        self, slots: Slots, *, lease_s: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._slots = slots
        self._lease_ms = round(lease_s * 1000)
        self._clock = clock
        self._name = uuid4().hex[:12]
        self._made = count(1)
        self._lock = Lock()
        self._held: dict[str, Held] = {}
        self._news: dict[str, _News] = {}
        self._views: dict[str, View] = {}
        # What operators say of their limits may have changed since a slot was taken.
        self._lanes: dict[str, Lane] = {}
        self._rest_until: dict[str, float] = {}
        self._shut_until: dict[str, float] = {}
        # Lanes whose provider has taken no call since it refused one.
        self._refusing: set[str] = set()
        self._alone: MemorySlots | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_alone(self) -> bool:
        """Whether the keeper was away when it was last asked."""
        return self._alone is not None

    def take(self, wanted: Sequence[tuple[Lane, int]]) -> list[Held | None]:
        """Take a slot for each lane and number of tokens, as far as there are; asks the keeper.

        Those of one lane are granted in order.
        """
        wishes: defaultdict[str, list[Wish]] = defaultdict(list)
        placed = []
        for lane, tokens in wanted:
            wish = Wish(f"{self._name}:{next(self._made)}", tokens)
            wishes[lane.name].append(wish)
            placed.append((lane, wish))
        lanes = {lane.name: lane for lane, _ in wanted}
        self._lanes.update(lanes)
        views = self._say(lanes.values(), wishes=wishes)
        with self._lock:
            return self._settle(placed, views)

    def tell(self) -> None:
        """Say what there is to say; asks the keeper if there is anything."""
        if self._news:
            self._say()

    def renew(self) -> None:
        """Hold on to all slots for a further lease; asks the keeper."""
        with self._lock:
            held = list(self._held.values())
        renewed: defaultdict[str, list[str]] = defaultdict(list)
        for slot in held:
            renewed[slot.lane.name].append(slot.id)
        lanes = {slot.lane.name: slot.lane for slot in held}
        self._say(lanes.values(), renewed=renewed)

    def put_back(self, slots: Iterable[Held]) -> None:
        """Give back slots that no call was made with."""
        with self._lock:
            for slot in slots:
                self._let_go(slot, tokens_back=slot.tokens)

    def release(self, slot: Held, *, used_tokens: int | None = None) -> None:
        """Give back a slot whose call is over, with what it used if that is known."""
        with self._lock:
            back = 0 if used_tokens is None else max(0, slot.tokens - used_tokens)
            if self._let_go(slot, tokens_back=back):
                held_ms = round((self._clock() - slot.since) * 1000)
                self._news_of(slot.lane).held_ms.append(max(1, held_ms))

    def accepted(self, slot: Held) -> None:
        """Note that the provider took the call."""
        with self._lock:
            self._news_of(slot.lane).accepted.append(slot.number)
            self._refusing.discard(slot.lane.name)
            self._reopen(slot.lane)

    def refused(self, slot: Held, *, retry_after_s: float | None) -> None:
        """Note that the provider refused the call for being one too many, which ends it."""
        retry_after_ms = None if retry_after_s is None else round(retry_after_s * 1000)
        with self._lock:
            self._news_of(slot.lane).refused.append(Refusal(slot.number, retry_after_ms))
            self._let_go(slot, tokens_back=slot.tokens)
            self._refusing.add(slot.lane.name)
            if retry_after_s:
                self._rest(slot.lane.name, min(retry_after_s, MAX_REST_MS / 1000))

    def hear_quota(self, lane: Lane, quota: Quota) -> None:
        """Note what a provider's response said of its limits."""
        with self._lock:
            self._news_of(lane).quota = quota

    def is_shut(self, lane: Lane) -> bool:
        """Say whether it is known that this lane gives nothing now; somebody waits for it then."""
        return self._clock() < self._shut_until.get(lane.name, 0.0)

    def is_resting(self, lane: Lane) -> bool:
        """Say whether its provider is left alone for a time, as far as is known."""
        return self._clock() < self._rest_until.get(lane.name, 0.0)

    def turns_away(self, lane: Lane) -> bool:
        """Say whether others are to be asked first: it rests, or refuses calls and gives no slot."""
        is_full = self.is_shut(lane) and lane.name in self._refusing
        return is_full or self.is_resting(lane)

    def is_at_floor(self, lane: Lane) -> bool:
        """Say whether the lane takes one call at a time at most, as far as is known."""
        view = self._views.get(lane.name)
        return view is not None and view.limit <= FLOOR

    def choose(self, lanes: Sequence[Lane]) -> Lane:
        """Return the first lane that turns nobody away, or the first: where to ask for a slot.

        Others than the first are those of models that may stand in.
        """
        return next((lane for lane in lanes if not self.turns_away(lane)), lanes[0])

    def view(self, lane: Lane) -> View | None:
        """Return what was last heard of a lane."""
        return self._views.get(lane.name)

    def _say(
        self,
        lanes: Iterable[Lane] = (),
        *,
        wishes: dict[str, list[Wish]] | None = None,
        renewed: dict[str, list[str]] | None = None,
    ) -> dict[str, View]:
        with self._lock:
            news, self._news = self._news, {}
            for lane in lanes:
                news.setdefault(lane.name, _News(lane))
        if not news:
            return {}
        asks = [
            one.ask(
                self._lanes.get(name, one.lane),
                take=(wishes or {}).get(name, ()),
                renew=(renewed or {}).get(name, ()),
            )
            for name, one in news.items()
        ]
        views = dict(zip(news, self._exchange(asks), strict=True))
        with self._lock:
            self._views.update(views)
            for name, view in views.items():
                if view.rest_ms:
                    self._rest(name, view.rest_ms / 1000)
        return views

    def _settle(
        self,
        placed: Sequence[tuple[Lane, Wish]],
        views: dict[str, View],
    ) -> list[Held | None]:
        now = self._clock()
        numbers = {name: iter(view.granted) for name, view in views.items()}
        found: list[Held | None] = []
        for lane, wish in placed:
            number = next(numbers[lane.name], None)
            if number is None:
                found.append(None)
                self._shut(lane.name, ASK_AGAIN_S)
                continue
            slot = Held(wish.slot, lane, number, wish.tokens, now)
            self._held[slot.id] = slot
            found.append(slot)
        return found

    def _exchange(self, asks: Sequence[Ask]) -> list[View]:
        alone = self._alone
        try:
            views = self._slots.exchange(asks, lease_ms=self._lease_ms)
        except SlotsAway:
            if alone is None:
                logger.warning("The slots' keeper is away; this worker goes on with its share")
                alone = self._alone = self._make_share()
            return alone.exchange(asks, lease_ms=self._lease_ms)
        if alone is not None:
            logger.warning("The slots' keeper is back")
            self._alone = None
            self.renew()
        return views

    def _make_share(self) -> MemorySlots:
        share = MemorySlots(start=FLOOR)
        with self._lock:
            now_ms = monotonic_ms()
            for name, view in self._views.items():
                slots = [slot for slot in self._held.values() if slot.lane.name == name]
                rest_s = self._rest_until.get(name, 0.0) - self._clock()
                state = LaneState(
                    limit=max(FLOOR, float(len(slots))),
                    taken=max((slot.number for slot in slots), default=0),
                    rest_until_ms=now_ms + max(0, round(rest_s * 1000)),
                    held_ms=view.held_ms,
                    slots={slot.id: now_ms + self._lease_ms for slot in slots},
                )
                share.seed(name, state)
        return share

    def _let_go(self, slot: Held, *, tokens_back: int) -> bool:
        if self._held.pop(slot.id, None) is None:
            return False
        news = self._news_of(slot.lane)
        news.release.append(slot.id)
        news.tokens_back += tokens_back
        self._reopen(slot.lane)
        return True

    def _news_of(self, lane: Lane) -> _News:
        return self._news.setdefault(lane.name, _News(lane))

    def _rest(self, name: str, for_s: float) -> None:
        self._rest_until[name] = self._clock() + for_s
        self._shut(name, for_s)

    def _shut(self, name: str, for_s: float) -> None:
        self._shut_until[name] = max(self._shut_until.get(name, 0.0), self._clock() + for_s)

    def _reopen(self, lane: Lane) -> None:
        """Let the lane be asked again: it may have room by what has just happened."""
        if not self.is_resting(lane):
            self._shut_until.pop(lane.name, None)
