"""What a round is going to do, drawn by hypothesis from a seed: the seed alone brings it back."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed as seeded, settings, strategies as st

from tests.production import HOSTED

T = TypeVar("T")

WEBS = 2
WORKERS = 2

# Joined at random: characters of several bytes and of several code points, pieces that begin
# within them, what looks like the protocols that carry it, and what Python takes for line ends.
FRAGMENTS = (
    "word ",
    "Grüße, ",
    "naïve ",
    "e",
    "\u0301 ",
    "👩",
    "\u200d👧",
    "🇩",
    "🇪 ",
    "漢字",
    "עברית ",
    "\r\n",
    "\n\n",
    "\ndata: {}\n\n",
    "id: 9-9\n",
    "event: done\n",
    "\u2028",
    "\u0085",
    "\x0b",
    "\ufeff",
    "\\u0000",
    '"}',
    "  ",
    "```py\n",
    "<b>&amp;</b>",
    "-" * 300,
)


@dataclass(frozen=True, slots=True)
class Leg:
    """One connection: by which door, to which web process, and when it is left.

    `reloads` says that the next one starts from an empty page.
    """

    door: str
    web: int
    leave_after_events: int
    leave_after_s: float
    pause_s: float
    reloads: bool


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """Comes after a while, leaves and returns, and then stays by the last door."""

    after_s: float
    legs: tuple[Leg, ...]
    door: str
    web: int
    returns_at_end: bool


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    text_seed: int
    pieces: int
    first_token_ms: float
    token_ms: float
    model: str
    provider_faults: tuple[dict[str, Any], ...]
    sends_by: str
    web: int
    sender: ReaderPlan
    others: tuple[ReaderPlan, ...]
    duplicate_after_s: float | None
    rival_after_s: float | None
    stop_after_s: float | None

    def chunks(self) -> list[str]:
        source = random.Random(self.text_seed)  # noqa: S311 - repeatable on purpose
        return ["The ", *source.choices(FRAGMENTS, k=self.pieces)]

    def course(self) -> list[dict[str, Any]]:
        """Return the scripts of the provider's answers: the faulty ones, then a good one."""
        pace = {"first_token_ms": self.first_token_ms, "token_ms": self.token_ms}
        good = {"chunks": self.chunks(), **pace}
        return [*({**good, **fault} for fault in self.provider_faults), good]


@dataclass(frozen=True, slots=True)
class Schedule:
    """One conversation: its answers, one after another."""

    start_s: float
    answers: tuple[AnswerPlan, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    at_s: float
    for_s: float
    target: int


@dataclass(frozen=True, slots=True)
class Round:
    seed: int
    schedules: tuple[Schedule, ...]
    faults: tuple[Fault, ...]


START_SPAN_S = 3.0
FAULT_SPAN_S = 4.0

# The costly ones: a process starts anew.
PROCESS_FAULTS = ("web kill", "web term", "worker kill", "worker term", "worker freeze")
STORE_FAULTS = (
    "valkey flush",
    "valkey empty",
    "valkey stale",
    "valkey saved",
    "valkey freeze",
    "valkey cut",
    "valkey swallow workers",
    "valkey swallow webs",
    "postgres restart",
    "postgres crash",
    "postgres freeze",
    "postgres cut",
    "postgres swallow workers",
    "provider cut",
    "provider stall",
    "provider refuse",
    "readers cut",
    "readers stall",
    "readers half-close",
    "readers latency",
)

# What the provider does to a call: a status, a closed door, or trouble after so many deltas.
STATUSES = (429, 529, 500)
TROUBLES = (
    "cut_after",
    "end_after",
    "stall_after",
    "ping_after",
    "malformed_after",
    "invalid_utf8_after",
    "error_event_after",
)
ANSWER_FAULTS = (*map(str, STATUSES), "refuse", *TROUBLES)

_counts = st.integers(0, 40)
_web = st.integers(0, WEBS - 1)
_door = st.sampled_from(("sse", "websocket"))
_provider_fault = st.one_of(
    st.sampled_from(STATUSES).map(lambda status: {"status": status, "retry_after": "0"}),
    st.just({"refuse": True}),
    st.builds(
        lambda kind, after: {kind: after},
        st.sampled_from(TROUBLES),
        _counts,
    ),
)


def seconds(most: float) -> st.SearchStrategy[float]:
    return st.integers(0, int(most * 100)).map(lambda hundredths: hundredths / 100)


def seldom(strategy: st.SearchStrategy[T], *, one_in: int) -> st.SearchStrategy[T | None]:
    return st.integers(0, one_in - 1).flatmap(
        lambda drawn: strategy if drawn == one_in - 1 else st.none()
    )


_leg = st.builds(
    Leg,
    door=_door,
    web=_web,
    leave_after_events=st.integers(0, 12),
    leave_after_s=seconds(1.5),
    pause_s=seconds(0.6),
    reloads=st.booleans(),
)


def readers(*, comes_within_s: float) -> st.SearchStrategy[ReaderPlan]:
    return st.builds(
        ReaderPlan,
        after_s=seconds(comes_within_s),
        legs=st.lists(_leg, max_size=2).map(tuple),
        door=_door,
        web=_web,
        returns_at_end=st.booleans(),
    )


_answer = st.builds(
    AnswerPlan,
    text_seed=st.integers(0, 2**32 - 1),
    pieces=st.integers(0, 50),
    first_token_ms=st.sampled_from((0, 20, 200)),
    token_ms=st.sampled_from((0, 10, 30, 60)),
    model=st.sampled_from(("smollm2-135m", "smollm2-135m", HOSTED)),
    provider_faults=st.one_of(
        st.just(()), st.just(()), st.lists(_provider_fault, max_size=2).map(tuple)
    ),
    sends_by=st.sampled_from(("sse", "json", "websocket")),
    web=_web,
    sender=readers(comes_within_s=0),
    others=st.lists(readers(comes_within_s=2.5), max_size=1).map(tuple),
    duplicate_after_s=seldom(seconds(1.5), one_in=4),
    rival_after_s=seldom(seconds(1.5), one_in=8),
    stop_after_s=seldom(seconds(1.5), one_in=10),
)

_schedule = st.builds(
    Schedule,
    start_s=seconds(START_SPAN_S),
    answers=st.one_of(
        st.tuples(_answer), st.tuples(_answer), st.tuples(_answer), st.tuples(_answer, _answer)
    ),
)


def _faults(kinds: tuple[str, ...], *, most: int) -> st.SearchStrategy[list[Fault]]:
    fault = st.builds(
        Fault,
        kind=st.sampled_from(kinds),
        at_s=seconds(FAULT_SPAN_S),
        for_s=seconds(3.0),
        target=st.integers(0, 1),
    )
    return st.lists(fault, min_size=1, max_size=most)


_round_faults = st.tuples(_faults(PROCESS_FAULTS, most=2), _faults(STORE_FAULTS, most=3)).map(
    lambda both: tuple(sorted((*both[0], *both[1]), key=lambda fault: fault.at_s))
)


def draw(strategy: st.SearchStrategy[T], *, seed: int) -> T:
    """Return what the strategy gives for a seed, the same each time."""
    drawn: list[T] = []

    @seeded(seed)
    @settings(
        # The first one is the simplest there is, whatever the seed.
        max_examples=2,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: T) -> None:
        drawn.append(value)

    collect()
    return drawn[-1]


def draw_round(seed: int, *, size: int) -> Round:
    """Return a round of `size` schedules and the faults that all of them live through."""
    schedules = st.lists(_schedule, min_size=size, max_size=size).map(tuple)
    return Round(seed, *draw(st.tuples(schedules, _round_faults), seed=seed))
