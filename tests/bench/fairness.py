"""How fair a line was, and how true its estimates. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

# Shares are compared when so much of everything has begun: before, who was accepted first has
# begun first.
CHECKPOINTS = (0.5, 0.75)
# Estimates of less are too short to be right or wrong by a share.
LEAST_WAIT_S = 1.0
SETTLED_S = 1.0


@dataclass(slots=True)
class Asked:
    """One message: when it was sent, accepted and answered, in seconds on one clock.

    `told` has the time, place and estimated milliseconds of each `queued` event.
    """

    person: str
    plan: str
    sent_at: float
    accepted_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    end: str = ""
    refused: int = 0
    told: list[tuple[float, int, float]] = field(default_factory=list)


def jain_index(shares: Iterable[float]) -> float:
    """Return 1 where all shares are equal, down to 1/n where one has everything.

    Jain, Chiu, Hawe: "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
    """
    values = list(shares)
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def fair_shares(messages: Sequence[Asked], served: int) -> dict[str, int]:
    """Return how many of each person's messages a perfectly fair line would have begun.

    It begins as many as were begun, at the same moments, each time for whoever has the earliest
    start tag (start-time fair queueing: Goyal, Vin, Cheng, 1996).
    """
    arrivals = sorted((one.accepted_at, one.person) for one in messages)
    starts = sorted(one.started_at for one in messages)[:served]
    waiting: Counter[str] = Counter()
    last: defaultdict[str, float] = defaultdict(float)
    begun: Counter[str] = Counter()
    virtual, next_arrival = 0.0, 0
    tags: dict[str, float] = {}
    for moment in starts:
        while next_arrival < len(arrivals) and arrivals[next_arrival][0] <= moment:
            person = arrivals[next_arrival][1]
            if not waiting[person]:
                tags[person] = max(virtual, last[person])
            waiting[person] += 1
            next_arrival += 1
        ready = [person for person in waiting if waiting[person]]
        if not ready:
            continue
        person = min(ready, key=lambda one: tags[one])
        virtual = tags[person]
        last[person] = tags[person] = virtual + 1
        waiting[person] -= 1
        begun[person] += 1
    return dict(begun)


def fairness(messages: Sequence[Asked]) -> float:
    """Return Jain's index of what people of one plan got, as a share of what was fair.

    The lowest of some moments while the line was being served.
    """
    order = sorted(messages, key=lambda one: one.started_at)
    found = []
    for part in CHECKPOINTS:
        served = round(part * len(order))
        got = Counter(one.person for one in order[:served])
        fair = fair_shares(messages, served)
        people = fair.keys() | got.keys()
        found.append(jain_index(got[one] / max(1, fair.get(one, 0)) for one in people))
    return min(found)


def estimate_errors(messages: Iterable[Asked]) -> list[float]:
    """Return by which share of the real wait each estimate was wrong."""
    return [
        abs(eta_ms / 1000 - (one.started_at - at)) / (one.started_at - at)
        for one in messages
        for at, _, eta_ms in one.told
        if one.started_at - at >= LEAST_WAIT_S
    ]


def count_rises(messages: Sequence[Asked]) -> int:
    """Return how often somebody was told a place further back, though nobody came any more."""
    last = max(one.accepted_at for one in messages)
    return sum(
        later[1] > earlier[1]
        for one in messages
        for earlier, later in pairwise(one.told)
        # What was found out a moment before is told a moment after.
        if earlier[0] > last + SETTLED_S
    )


def summarise(messages: Sequence[Asked]) -> Mapping[str, float]:
    """Return the figures of a line by name."""
    waits = [one.started_at - one.sent_at for one in messages]
    errors = estimate_errors(messages)
    plans = sorted({one.plan for one in messages})
    return {
        "messages": len(messages),
        "answered": sum(one.end == "done" for one in messages),
        **{
            f"fairness, {plan}": fairness([one for one in messages if one.plan == plan])
            for plan in plans
        },
        "longest wait, s": max(waits),
        "median wait, s": median(waits),
        "estimates": len(errors),
        "median error of estimates": median(errors) if errors else 0.0,
        "places that rose": count_rises(messages),
        "places told": sum(len(one.told) for one in messages),
    }
