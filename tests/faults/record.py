"""What people saw of one answer, and what the database holds of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.sse import TERMINAL

Cursor = tuple[int, int]
START: Cursor = (0, 0)


def parse_id(text: str) -> Cursor:
    attempt, _, seq = text.partition("-")
    return int(attempt), int(seq)


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as it arrived."""

    cursor: Cursor
    event: str
    data: dict[str, Any]

    @property
    def is_terminal(self) -> bool:
        return self.event in TERMINAL


@dataclass(slots=True)
class Connection:
    """One connection of a reader: where it asked to go on, what came, how it ended."""

    door: str
    after: Cursor
    events: list[Seen] = field(default_factory=list)
    end: str = ""


@dataclass(slots=True)
class Life:
    """One reader from an empty page on, over all its connections.

    Events are applied as the streaming contract has it: what is not newer is dropped, a delta
    appends, a snapshot replaces. `is_left` says that the person went away before the end.
    """

    name: str
    connections: list[Connection] = field(default_factory=list)
    cursor: Cursor = START
    text: str = ""
    texts: list[str] = field(default_factory=list)
    terminals: list[Seen] = field(default_factory=list)
    dropped: int = 0
    is_left: bool = False

    def connect(self, door: str) -> Connection:
        self.connections.append(Connection(door, self.cursor))
        return self.connections[-1]

    def apply(self, seen: Seen) -> None:
        self.connections[-1].events.append(seen)
        if seen.is_terminal:
            self.terminals.append(seen)
        if seen.cursor <= self.cursor:
            self.dropped += 1
            return
        self.cursor = seen.cursor
        if seen.event == "delta":
            self.text += seen.data["text"]
        elif seen.event == "snapshot":
            self.text = seen.data["text"]
        else:
            return
        self.texts.append(self.text)

    @property
    def is_over(self) -> bool:
        return bool(self.terminals)

    def describe(self) -> str:
        """Return everything this reader saw, for a person who looks for the fault."""
        lines = [f"{self.name}{' (left)' if self.is_left else ''}: {self.text!r}"]
        for connection in self.connections:
            lines.append(f"  {connection.door} after {connection.after}: {connection.end}")
            for seen in connection.events:
                lines.append(f"    {seen.cursor} {seen.event} {_shorten(seen.data)}")
        return "\n".join(lines)


@dataclass(slots=True)
class Answer:
    """One message and its answer, as the people who read it know it.

    `script` is the whole text that the model says, `accepted` the generation that each accepted
    try of sending it was given, `scripted_faults` how many calls its provider is told to fail.
    `odd` lists replies that no fault excuses.
    """

    tag: str
    script: str
    user: str = ""
    conversation_id: str = ""
    accepted: list[str] = field(default_factory=list)
    is_stop_asked: bool = False
    scripted_faults: int = 0
    may_fail: bool = False
    lives: list[Life] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    retries: int = 0

    def describe(self) -> str:
        parts = [f"answer {self.tag} of conversation {self.conversation_id}: {self.accepted}"]
        parts += [f"script: {self.script!r}", *self.odd]
        return "\n".join([*parts, *(life.describe() for life in self.lives)])


@dataclass(frozen=True, slots=True)
class StoredGeneration:
    id: str
    state: str
    attempt: int
    text: str
    status: str
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database holds of one answer: its generations, and how often its question."""

    generations: list[StoredGeneration]
    questions: int


def _shorten(data: dict[str, Any]) -> str:
    text = repr(data)
    return text if len(text) <= 300 else f"{text[:300]}…"
