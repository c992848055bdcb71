"""Values that cross between the engine, its adapters and its callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as the model sees it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything a model is asked; `max_output` is in tokens.

    `memory` is what it is told of earlier turns that are not among `turns`. A last turn of role
    `assistant` asks a model whose continuation is `prefill` to go on from that text.
    """

    system: str
    turns: tuple[Turn, ...]
    max_output: int
    memory: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Return what the turns say."""
        return tuple(turn.text for turn in self.turns)

    @property
    def heads(self) -> tuple[str, ...]:
        """Return the texts that stand before the turns, the one that changes least first."""
        return tuple(text for text in (self.system, self.memory) if text)

    @property
    def head(self) -> str:
        """Return the same as one text, for servers that take one."""
        return "\n\n".join(self.heads)


@dataclass(frozen=True, slots=True)
class Usage:
    """Billed tokens. `input_tokens` excludes what was read from or written to a cache."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every stream that ended as its model meant it to.

    Where the provider did not say what was used, `is_metered` is false and `usage` is nothing.
    """

    stop_reason: str
    usage: Usage
    is_metered: bool = True


StreamEvent = TextDelta | Finished
