"""Whether an answer arrived as it was sent, and what was wrong with it if not."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from tests.bench.timing import Timing


class Verdict(StrEnum):
    COMPLETE = "complete"
    LOST = "lost"  # ended well, but words are missing
    DUPLICATED = "duplicated"  # ended well, but words came twice
    FAILED = "failed"  # did not end well, or its words are in another order


def judge(timing: Timing, expected: str) -> Verdict:
    """Return what became of an answer; words are told apart, as each occurs once in the text."""
    if timing.end != "done":
        return Verdict.FAILED
    if timing.text == expected:
        return Verdict.COMPLETE
    got, wanted = Counter(timing.text.split()), Counter(expected.split())
    if wanted - got:
        return Verdict.LOST
    if got - wanted:
        return Verdict.DUPLICATED
    return Verdict.FAILED
