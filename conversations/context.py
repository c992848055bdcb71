"""The prompt of a turn, within the model's window. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from llm.tokens import count_turn
from llm.types import Prompt, Turn

# What of the room for turns may stay empty, so that a prompt begins in the same place for some turns.
# Left out one by one, each turn would have the whole prompt read, and paid for, anew.
STEP_SHARE = 4
# An answer of so many tokens, or of this share of the longest one, is worth giving to somebody whose
# budget has no room for more. The share is for models that think first, within the same tokens.
DECENT_TOKENS = 512
DECENT_SHARE = 8


@dataclass(frozen=True, slots=True)
class Window:
    """A model's room, in tokens: all it reads and writes, and what of it an answer may take."""

    context: int
    answer: int

    def room(self, system: str) -> int:
        """Return the tokens left for turns beside this system text."""
        return self.context - self.answer - count_turn(system)


@dataclass(frozen=True, slots=True)
class PastTurn:
    role: Literal["user", "assistant"]
    text: str
    tokens: int
    seq: int = 0


def join_system(*parts: str) -> str:
    """Return the system text: what stays the same from turn to turn, stable parts first."""
    return "\n\n".join(part.strip() for part in parts if part.strip())


def least_answer(answer_tokens: int) -> int:
    """Return how long an answer must be able to get, where the longest is `answer_tokens`."""
    return min(answer_tokens, max(DECENT_TOKENS, answer_tokens // DECENT_SHARE))


def assemble_prompt(*, system: str, newest_first: Iterable[PastTurn], window: Window) -> Prompt:
    """Return the prompt: the newest turn whole, and as many before it as there is room for.

    Takes from `newest_first` only what it uses. Roles alternate and begin with the user, as
    the Messages API demands; neighbours of one role are joined. Where not all fit, a few more may be
    left out, so that the turns after this one begin in the same place.
    """
    room = left = window.room(system)
    kept: list[PastTurn] = []
    is_cut = False
    for turn in newest_first:
        is_cut = bool(kept) and turn.tokens > left
        if is_cut:
            break
        left -= turn.tokens
        kept.append(turn)
    kept.reverse()
    if is_cut:
        del kept[: _steady_start(kept, spare=room // STEP_SHARE - left)]
    while len(kept) > 1 and kept[0].role == "assistant":
        del kept[0]
    turns: list[Turn] = []
    for turn in kept:
        if turns and turns[-1].role == turn.role:
            turns[-1] = Turn(turn.role, f"{turns[-1].text}\n\n{turn.text}")
        else:
            turns.append(Turn(turn.role, turn.text))
    return Prompt(system=system, turns=tuple(turns), max_output=window.answer)


def _steady_start(kept: Sequence[PastTurn], *, spare: int) -> int:
    """Return how many of the oldest turns to leave out besides, of `spare` tokens at most.

    Of the questions that may come first, it is the one whose number is divisible by two most often.
    As the conversation goes on, that one stays the choice until it has to go itself.
    """
    start, best, tokens = 0, 0, 0
    for place, turn in enumerate(kept[:-1]):
        if tokens > spare:
            break
        if turn.role == "user" and (evenness := _evenness(turn.seq)) > best:
            start, best = place, evenness
        tokens += turn.tokens
    return start


def _evenness(seq: int) -> int:
    """Return the largest power of two in a question's number; each takes two places or more."""
    number = seq // 2
    return number & -number
