"""Rounds that are dealt: a deck of them holds every kind of fault there is, and the seed alone
brings each back, as with those that are drawn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from tests.faults.plan import (
    ANSWER_FAULTS,
    PROCESS_FAULTS,
    STORE_FAULTS,
    Fault,
    Round,
    Schedule,
    draw_round,
)

# Far beyond the seeds that anybody draws from.
FIRST_DEALT = 10**12
# The rounds of one deck: two faults of processes in each, and four of what is between them.
DECK_ROUNDS = 5
TARGETS = 2
# While most people are still there, also for a fault that has to wait for another of its part.
FAULTS_FROM_S, FAULTS_TO_S = 0.3, 1.5
# Long enough that something meets it.
LASTS_FROM_S, LASTS_TO_S = 1.0, 2.0


def deck_seeds(deck: int) -> Iterator[int]:
    """Yield the seeds of a deck's rounds."""
    first = FIRST_DEALT + deck * DECK_ROUNDS
    yield from range(first, first + DECK_ROUNDS)


def make_round(seed: int, *, size: int) -> Round:
    """Return the round of a seed: dealt from `FIRST_DEALT` on, drawn below."""
    drawn = draw_round(seed, size=size)
    if seed < FIRST_DEALT:
        return drawn
    deck, place = divmod(seed - FIRST_DEALT, DECK_ROUNDS)
    source = random.Random(seed)  # noqa: S311 - repeatable on purpose
    faults = [_time(kind, target, source) for kind, target in _deal(deck)[place]]
    return Round(
        seed,
        tuple(_script(drawn.schedules, source)),
        tuple(sorted(faults, key=lambda fault: fault.at_s)),
    )


def _deal(deck: int) -> list[list[tuple[str, int]]]:
    """Return the faults of each round of a deck, with their targets.

    Each process meets each of its faults. What befalls one part is spread over the rounds.
    """
    source = random.Random(deck)  # noqa: S311 - as above
    processes = [(kind, target) for kind in PROCESS_FAULTS for target in range(TARGETS)]
    source.shuffle(processes)
    parts: dict[str, list[str]] = {}
    for kind in STORE_FAULTS:
        parts.setdefault(kind.partition(" ")[0], []).append(kind)
    for kinds in parts.values():
        source.shuffle(kinds)
    others = [(kind, source.randrange(TARGETS)) for kind in chain.from_iterable(parts.values())]
    return [
        [*processes[place::DECK_ROUNDS], *others[place::DECK_ROUNDS]]
        for place in range(DECK_ROUNDS)
    ]


def _time(kind: str, target: int, source: random.Random) -> Fault:
    at_s = source.uniform(FAULTS_FROM_S, FAULTS_TO_S)
    for_s = source.uniform(LASTS_FROM_S, LASTS_TO_S)
    return Fault(kind, round(at_s, 2), round(for_s, 2), target)


def _script(schedules: tuple[Schedule, ...], source: random.Random) -> Iterator[Schedule]:
    """Have the provider fail a call of the first answers in each way, and two of the next.

    After two, an answer may fail only where the round takes one more call from it.
    """
    kinds = source.sample(ANSWER_FAULTS, k=len(ANSWER_FAULTS))
    courses = [*((kind,) for kind in kinds), *zip(kinds, [*kinds[1:], kinds[0]], strict=True)]
    for number, schedule in enumerate(schedules):
        if number >= len(courses):
            yield schedule
            continue
        first, *rest = schedule.answers
        faults = tuple(_place(kind, first.pieces, source) for kind in courses[number])
        # Nobody stops it before its time.
        first = replace(first, provider_faults=faults, stop_after_s=None)
        yield replace(schedule, answers=(first, *rest))


def _place(kind: str, pieces: int, source: random.Random) -> dict[str, Any]:
    if kind.isdigit():
        return {"status": int(kind), "retry_after": "0"}
    if kind == "refuse":
        return {"refuse": True}
    return {kind: source.randint(0, pieces)}
