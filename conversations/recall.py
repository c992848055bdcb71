"""How much of what was said early a model is still told later. Pure, but for reading its file.

It looks at prompts, not at answers: whether a fact stands in the context needs nobody's judgement.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from conversations.context import Memory, PastTurn, Window, assemble
from conversations.notes import choose_portion, summary_limit, tell_notes, tidy_notes
from llm.types import Prompt

SAYINGS = Path(__file__).with_name("data") / "recall.json"

# Returns new notes, made of the notes so far and the turns that they are to take in.
MakeNotes = Callable[[str, Sequence[PastTurn], int], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence, and the words of it that have to be there for it to be known."""

    says: str
    holds: tuple[str, ...]

    def stands_in(self, text: str) -> bool:
        return all(word in text.casefold() for word in self.holds)


@dataclass(frozen=True, slots=True)
class Sayings:
    facts: tuple[Fact, ...]
    asides: tuple[str, ...]
    questions: tuple[str, ...]


def read_sayings(path: Path = SAYINGS, *, held: bool = False) -> Sayings:
    """Return what is said; `held` facts are others, which nothing was tuned for."""
    read = json.loads(path.read_text(encoding="utf-8"))
    chosen = read["held" if held else "facts"]
    facts = tuple(Fact(one["says"], tuple(one["holds"])) for one in chosen)
    return Sayings(facts, tuple(read["asides"]), tuple(read["questions"]))


def plan_talk(sayings: Sayings, exchanges: int, *, seed: int) -> list[str]:
    """Return what a person says: a fact with each of the first questions, then small talk."""
    draw = Random(seed)  # noqa: S311 - drawn to be drawn again, not to be secret
    said = []
    for number in range(exchanges):
        facts = sayings.facts
        first = facts[number].says if number < len(facts) else draw.choice(sayings.asides)
        said.append(f"{first} {draw.choice(sayings.questions)}")
    return said


@dataclass(slots=True)
class Remembered:
    """A conversation as it grows, and what is remembered of it in one way or another."""

    window: Window
    system: str
    make_notes: MakeNotes | None
    turns: list[PastTurn]
    memories: list[Memory]
    notes: str = ""

    def prompt(self) -> Prompt:
        """Return what a model is told with the newest question."""
        return assemble(
            system=self.system,
            newest_first=reversed(self.turns),
            window=self.window,
            memories=self.memories,
        ).prompt

    def say(self, text: str) -> None:
        role = "assistant" if len(self.turns) % 2 else "user"
        turn = PastTurn(role, text, self.window.scale.count_turn(text), len(self.turns) + 1)  # type: ignore[arg-type]
        self.turns.append(turn)

    async def remember(self) -> None:
        """Sum up what is due, as it is done after an answer."""
        if self.make_notes is None:
            return
        room = self.window.room(self.system)
        covered = self.memories[0].covers if self.memories else 0
        since = self.turns[covered:][::-1]
        portion = choose_portion(since, room, most=room)
        if portion is None:
            return
        limit = summary_limit(room)
        written = await self.make_notes(self.notes, portion.turns, limit)
        self.notes = tidy_notes(written, limit) or self.notes
        self.memories.insert(0, Memory(portion.covers, tell_notes(self.notes)))


def begin(window: Window, system: str, make_notes: MakeNotes | None) -> Remembered:
    """Return a conversation in which nothing was said; without `make_notes`, turns only drop out."""
    return Remembered(window, system, make_notes, [], [])


def count_known(prompt: Prompt, facts: Sequence[Fact]) -> int:
    """Return how many of these facts a prompt tells."""
    text = "\n".join([*prompt.heads, *(turn.text for turn in prompt.turns)])
    return sum(fact.stands_in(text) for fact in facts)


async def replay(
    said: Sequence[str], talk: Remembered, facts: Sequence[Fact], advance: Callable[[], object]
) -> list[float]:
    """Return, for each question of a talk, the share of the facts told so far that is known."""
    shares = []
    for question, answer in _exchanges(said):
        talk.say(question)
        told = facts[: max(1, len(talk.turns) // 2 + 1)]
        shares.append(count_known(talk.prompt(), told) / len(told))
        talk.say(answer)
        await talk.remember()
        advance()
    return shares


def _exchanges(said: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(said[::2], said[1::2], strict=True)
