"""What excuses an answer that failed: its round took as many calls from it as are made in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llm.retry import MAX_RETRIES
from tests.faults.cluster import TOKEN_TIMEOUT_S
from tests.faults.plan import Fault

# So often is a model asked, at the least, before an answer is given up.
CALLS = MAX_RETRIES + 1
# A reader whose last token came shortly before waits so much less of a silence.
SLACK_S = 0.5


def may_fail(faults: Sequence[Fault], *, calls: int, scripted: int) -> bool:
    """Say whether a round can have failed enough calls of one answer for it to end as failed.

    `calls` is how many of them the provider saw, whichever worker made them: a takeover makes a
    call too and fails none. `scripted` is how many the provider was told to fail.
    """
    return min(calls, scripted) + lost_calls(faults) >= CALLS


def lost_calls(faults: Sequence[Fault]) -> float:
    """Return how many calls of one answer the faults between worker and provider can have failed."""
    kinds = [fault.kind for fault in faults]
    if "provider refuse" in kinds:
        # Retries have full jitter, so that any number of them may find the door closed.
        return math.inf
    stalls = [fault.for_s + SLACK_S for fault in faults if fault.kind == "provider stall"]
    # A call that a cut finds on its way never arrives. A frozen worker wakes up to find that its
    # tokens are overdue.
    return (
        kinds.count("provider cut")
        + kinds.count("worker freeze")
        + math.floor(sum(stalls) / TOKEN_TIMEOUT_S)
    )
