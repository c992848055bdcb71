"""The prompt of a turn, within the model's window. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from llm.tokens import count_turn
from llm.types import Prompt, Turn


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


def join_system(*parts: str) -> str:
    """Return the system text: what stays the same from turn to turn, stable parts first."""
    return "\n\n".join(part.strip() for part in parts if part.strip())


def assemble_prompt(*, system: str, newest_first: Iterable[PastTurn], window: Window) -> Prompt:
    """Return the prompt: the newest turn whole, and as many before it as there is room for.

    Takes from `newest_first` only what it uses. Roles alternate and begin with the user, as
    the Messages API demands; neighbours of one role are joined.
    """
    room = window.room(system)
    kept: list[PastTurn] = []
    for turn in newest_first:
        if kept and turn.tokens > room:
            break
        room -= turn.tokens
        kept.append(turn)
    kept.reverse()
    while len(kept) > 1 and kept[0].role == "assistant":
        del kept[0]
    turns: list[Turn] = []
    for turn in kept:
        if turns and turns[-1].role == turn.role:
            turns[-1] = Turn(turn.role, f"{turns[-1].text}\n\n{turn.text}")
        else:
            turns.append(Turn(turn.role, turn.text))
    return Prompt(system=system, turns=tuple(turns), max_output=window.answer)
