"""The prompt of a turn, within the model's window. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from llm.tokens import UNKNOWN, Scale
from llm.types import Prompt, Turn

# What of the room for turns may stay empty, so that a prompt begins in the same place for some turns.
# Left out one by one, each turn would have the whole prompt read, and paid for, anew.
STEP_SHARE = 4
# An answer of so many tokens, or of this share of the longest one, is worth giving to somebody whose
# budget has no room for more. The share is for models that think first, within the same tokens.
DECENT_TOKENS = 512
DECENT_SHARE = 8
# A summary that ends further back than this, beyond what fits, is not looked for.
MAX_LAG_TURNS = 1_000


@dataclass(frozen=True, slots=True)
class Window:
    """A model's room, in tokens: all it reads and writes, and what of it an answer may take.

    `scale` is how the model counts what is not a turn; those say themselves how long they are.
    """

    context: int
    answer: int
    scale: Scale = UNKNOWN

    def room(self, system: str) -> int:
        """Return the tokens left for turns beside this system text."""
        return self.context - self.answer - self.scale.count_turn(system)


@dataclass(frozen=True, slots=True)
class PastTurn:
    role: Literal["user", "assistant"]
    text: str
    tokens: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """What a prompt says of the turns up to `covers`, the seq of an answer, in their place.

    One that a person has `corrected` is told even where all the turns would fit.
    """

    covers: int
    text: str
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """A prompt, and the tokens of the turns since the newest memory of their branch.

    Of the turns that there was no room for, only those that were looked at count.
    """

    prompt: Prompt
    uncovered: int


def join_system(*parts: str) -> str:
    """Return the system text: what stays the same from turn to turn, stable parts first."""
    return "\n\n".join(part.strip() for part in parts if part.strip())


def least_answer(answer_tokens: int) -> int:
    """Return how long an answer must be able to get, where the longest is `answer_tokens`."""
    return min(answer_tokens, max(DECENT_TOKENS, answer_tokens // DECENT_SHARE))


def assemble(
    *,
    system: str,
    newest_first: Iterable[PastTurn],
    window: Window,
    memories: Sequence[Memory] = (),
) -> Assembled:
    """Return the prompt: the newest turn whole, and as many before it as there is room for.

    Where not all fit, one of the `memories` stands for the oldest: of those on this branch, the one
    that leaves the most turns as they were said. It stays the same from turn to turn until it
    leaves too many. Of two that cover the same, the first counts.

    Takes from `newest_first` only what it uses, and what it takes to find a memory. Roles alternate
    and begin with the user, as the Messages API demands; neighbours of one role are joined.
    """
    room = window.room(system)
    read = _Reading(iter(newest_first), room, memories, window.scale)
    kept, memory = read.kept, read.memory
    if read.is_cut and memory is None:
        memory, kept = _cut(kept, room, read.newest, window.scale)
    kept.reverse()
    while len(kept) > 1 and kept[0].role == "assistant":
        del kept[0]
    text = memory.text if memory else ""
    prompt = Prompt(system, _alternate(kept), max_output=window.answer, memory=text)
    return Assembled(prompt, read.uncovered)


class _Reading:
    """A branch, read from its newest turn back as far as there is room.

    `kept` are the turns that stand in the prompt, newest first, and `memory` what stands for those
    before. Where no memory leaves few enough turns, `is_cut` says so; `newest` is the one that
    leaves the fewest.
    """

    def __init__(
        self, turns: Iterator[PastTurn], room: int, memories: Sequence[Memory], scale: Scale
    ) -> None:
        self.kept: list[PastTurn] = []
        self.memory: Memory | None = None
        self.newest: Memory | None = None
        self.uncovered = 0
        self.is_cut = False
        self._room = room
        self._scale = scale
        self._memories = {one.covers: one for one in reversed(memories)}
        self._used = 0
        self._fitting = 0
        self._read(turns)

    def _read(self, turns: Iterator[PastTurn]) -> None:
        for turn in turns:
            found = self._memories.get(turn.seq) if self.kept else None
            if found is not None and self._meet(found):
                break
            if self.kept and self._used + turn.tokens > self._room:
                self._overflow(turn, turns)
                break
            self.kept.append(turn)
            self._used += turn.tokens
            if self.newest is None:
                self.uncovered += turn.tokens
        else:
            # All of it fits as it was said.
            self.memory = None
            return
        if self.memory is not None:
            del self.kept[self._fitting :]
            self.is_cut = False

    def _meet(self, found: Memory) -> bool:
        """Take note of a memory; True if nothing before it is to be looked at."""
        self.newest = self.newest or found
        if self._used + self._scale.count_turn(found.text) <= self._room:
            self.memory, self._fitting = found, len(self.kept)
        elif found.corrected:
            self.is_cut = True
        return found.corrected

    def _overflow(self, turn: PastTurn, turns: Iterator[PastTurn]) -> None:
        self.is_cut = True
        if self.newest is not None or not self._memories:
            self.uncovered += turn.tokens if self.newest is None else 0
            return
        self.uncovered += turn.tokens
        for older in islice(turns, MAX_LAG_TURNS):
            if (found := self._memories.get(older.seq)) is not None:
                self.newest = found
                return
            self.uncovered += older.tokens


def _cut(
    kept: list[PastTurn], room: int, newest: Memory | None, scale: Scale
) -> tuple[Memory | None, list[PastTurn]]:
    """Return as many of the newest turns as fit beside the newest memory, if that does.

    A few more may be left out, so that the turns after this one begin in the same place.
    """
    taken = scale.count_turn(newest.text) if newest else 0
    if kept[0].tokens + taken > room:
        newest, taken = None, 0
    room -= taken
    left, count = room, 0
    for turn in kept:
        if count and turn.tokens > left:
            break
        left -= turn.tokens
        count += 1
    oldest_first = kept[:count][::-1]
    start = _steady_start(oldest_first, spare=room // STEP_SHARE - left)
    return newest, oldest_first[start:][::-1]


def _alternate(turns: Iterable[PastTurn]) -> tuple[Turn, ...]:
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role:
            joined[-1] = replace(joined[-1], text=f"{joined[-1].text}\n\n{turn.text}")
        else:
            joined.append(Turn(turn.role, turn.text))
    return tuple(joined)


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
