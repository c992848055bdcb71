"""Where a prompt is to be kept by its provider, for the next turn to begin with. Pure.

Written after platform.claude.com, "Prompt caching": a request may mark up to four blocks. Everything
up to a mark is kept, and a mark finds what was kept at it or at one of the 19 blocks before it. What
a mark costs is what it has kept or read; one on a prefix that is too short does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm.tokens import count_turn
from llm.types import Prompt, Turn

# Two of these lie within one mark's sight, which is 20 blocks.
ANCHOR_EVERY = 16


@dataclass(frozen=True, slots=True)
class Breakpoints:
    """Whether the system text and the memory are marked, and which turns are, by their places."""

    system: bool
    turns: frozenset[int]
    memory: bool = False


def find_breakpoints(prompt: Prompt, *, least_tokens: int) -> Breakpoints:
    """Return the marks of a prompt whose prefixes are kept from `least_tokens` on.

    The system text is the same for every conversation without instructions of its own. The memory
    changes a step of turns at a time, and whatever stands before it is kept all the same. The last
    turn's mark moves with the conversation, two blocks at a time, and finds the one before it. The
    anchor stands still for sixteen turns: where others answered many turns in between, each model
    keeping its own, the last mark would look back in vain, and the anchor finds the anchor before.
    """
    last = len(prompt.turns) - 1
    anchor = (last - 1) // ANCHOR_EVERY * ANCHOR_EVERY
    first = _first_kept(prompt, least_tokens)
    wanted = {last, anchor} if anchor > 0 else {last}
    return Breakpoints(
        system=bool(prompt.system) and _size(prompt.system) >= least_tokens,
        memory=bool(prompt.memory) and first < 0,
        turns=frozenset(
            place for place in wanted if place >= max(first, 0) and _is_said(prompt.turns[place])
        ),
    )


def _first_kept(prompt: Prompt, least_tokens: int) -> int:
    """Return the first turn whose prefix is long enough, -1 if what stands before the turns is.

    The estimate is rather too high: a mark too many costs nothing, one too few costs a whole prompt.
    """
    tokens = sum(map(_size, prompt.heads))
    for place, turn in enumerate(prompt.turns):
        if tokens >= least_tokens:
            return place - 1
        tokens += _size(turn.text)
    return len(prompt.turns) - (1 if tokens >= least_tokens else 0)


def _size(text: str) -> int:
    return count_turn(text) if text else 0


def _is_said(turn: Turn) -> bool:
    # An empty block cannot be marked: the request would be refused.
    return bool(turn.text.strip())
