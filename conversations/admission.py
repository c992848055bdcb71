"""Which generations a worker may claim: those whose providers have a slot for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from uuid import UUID

from django.db import OperationalError

from conversations.claims import Candidate, Claim, claim_lapsed, claim_waiting, load_claimed
from conversations.generations import hand_over_generation
from conversations.models import Generation
from llm.admission.desk import Desk, Held
from llm.admission.slots import Lane

# A generation that nobody would take now is left alone for so long, with those of its model.
SHUN_S = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed generation, with its row and the slot that its first call has.

    There is none where no call will be made.
    """

    claim: Claim
    generation: Generation
    slot: Held | None


class SlotAdmission:
    """Takes slots for what could be claimed, and gives back those that it did not need.

    One round at a time, on any thread; `shun` and `give_up` may be called meanwhile.
    """

    def __init__(self, desk: Desk, lanes: Callable[[str], tuple[Lane, ...]]) -> None:
        self._desk = desk
        self._lanes = lanes
        self._shunned: dict[str, float] = {}
        self._seen: set[str] = set()
        # Of this round: where each model's calls go, the slots that are left, and those in use.
        self._chosen: dict[str, Lane | None] = {}
        self._spare: defaultdict[str, list[Held]] = defaultdict(list)
        self._taken: dict[UUID, Held] = {}
        self.was_short = False
        self._round = Lock()
        self._handed: list[Held] = []
        self.is_given_up = False

    @property
    def shut(self) -> tuple[str, ...]:
        """Return the models that were met and that have no slot now, as far as is known."""
        return tuple(sorted(model for model in self._seen if self._is_shut(model)))

    def shun(self, model: str) -> None:
        """Leave a model's generations alone for a moment: nobody takes its calls now."""
        self._shunned[model] = monotonic() + SHUN_S

    def prepare(self, candidates: Sequence[Candidate], limit: int) -> None:
        wanted = []
        for candidate in candidates:
            lane = self._lane_for(candidate)
            if lane is not None and not self._is_shut(candidate.model):
                wanted.append((lane, candidate.tokens))
            if len(wanted) == limit:
                break
        for slot in self._desk.take(wanted) if wanted else ():
            if slot is None:
                self.was_short = True
            else:
                self._spare[slot.lane.name].append(slot)

    def lets_in(self, candidate: Candidate) -> bool:
        lane = self._lane_for(candidate)
        if lane is not None:
            return bool(self._spare[lane.name])
        # Where its model is gone, its stand-in may be busy.
        return candidate.stopped or not self._is_shunned(candidate.model)

    def note(self, candidate: Candidate) -> None:
        lane = self._lane_for(candidate)
        if lane is not None:
            self._taken[candidate.generation_id] = self._spare[lane.name].pop(0)

    def begin(self) -> None:
        """Begin a round. Raises OperationalError while one that was given up goes on."""
        if not self._round.acquire(blocking=False):
            raise OperationalError("The last look for work has not ended.")
        self._chosen.clear()
        self.was_short = False
        self._handed = []
        self.is_given_up = False

    def close(self) -> dict[UUID, Held]:
        """Give back what is left, and return the slot of each generation that was claimed."""
        for slots in self._spare.values():
            self._desk.put_back(slots)
        self._spare.clear()
        taken, self._taken = self._taken, {}
        self._handed = list(taken.values())
        return taken

    def end(self) -> None:
        """End the round; if it was given up, nobody has the slots that it handed out."""
        if self.is_given_up:
            self._desk.put_back(self._handed)
        self._round.release()

    def give_up(self) -> None:
        """Hear that nobody waits any more for what this round finds, or has just found."""
        # In this order: the round looks after it has handed out, so one of both gives back.
        self.is_given_up = True
        self._desk.put_back(self._handed)

    def put_back(self, slots: Iterable[Held]) -> None:
        self._desk.put_back(slots)

    def _lane_for(self, candidate: Candidate) -> Lane | None:
        """Return the lane in which its first call is made; None if there will be none."""
        if candidate.stopped:
            return None
        model = candidate.model
        self._seen.add(model)
        if model not in self._chosen:
            lanes = self._lanes(model)
            self._chosen[model] = self._desk.choose(lanes) if lanes else None
        return self._chosen[model]

    def _is_shut(self, model: str) -> bool:
        if self._is_shunned(model):
            return True
        lanes = self._lanes(model)
        return bool(lanes) and self._desk.is_shut(self._desk.choose(lanes))

    def _is_shunned(self, model: str) -> bool:
        return monotonic() < self._shunned.get(model, 0.0)


@dataclass(frozen=True, slots=True)
class Round:
    """What a look for work found. Being `short` means that a lane gave less than was wanted.

    What other lanes have is found by looking again.
    """

    work: list[Work]
    taken_over: list[UUID]
    is_short: bool


def take_work(
    admission: SlotAdmission, owner: str, limit: int, *, but: Collection[UUID] | None
) -> Round:
    """Claim up to `limit` generations, those whose worker has fallen silent first, `but` these.

    With None in its place it is not known that anybody is dead, and only the queue is looked at.
    Raises OperationalError when the database stood still meanwhile, or an earlier look for work,
    which was given up, has not ended. Who gives one up says so to `admission`.
    """
    admission.begin()
    try:
        found = _take(admission, owner, limit, but=but)
        if admission.is_given_up:
            # Nobody is there to write these; they need not wait for their lease to lapse.
            for work in found.work:
                hand_over_generation(work.claim, work.generation, ())
    finally:
        admission.end()
    return found


def _take(
    admission: SlotAdmission, owner: str, limit: int, *, but: Collection[UUID] | None
) -> Round:
    lapsed: list[Claim] = []
    rows: dict[UUID, Generation] = {}
    try:
        if but is not None:
            lapsed = claim_lapsed(owner, limit, but=but, admission=admission)
        claims = list(lapsed)
        if len(claims) < limit:
            claims += claim_waiting(owner, limit - len(claims), admission=admission)
        rows = load_claimed(claims) if claims else {}
    finally:
        slots = admission.close()
        # One that was deleted meanwhile needs no answer.
        admission.put_back(slot for key, slot in slots.items() if key not in rows)
    work = [
        Work(claim, rows[claim.generation_id], slots.get(claim.generation_id))
        for claim in claims
        if claim.generation_id in rows
    ]
    return Round(work, [claim.generation_id for claim in lapsed], admission.was_short)
