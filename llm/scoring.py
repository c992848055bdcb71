"""How much a question asks for, as a number: from THRESHOLD on, it needs a smart model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from llm.features import LONG_TOKENS, Features
from llm.lexicon import Kind

THRESHOLD = 0.75


class Trait(StrEnum):
    """What a part of the score is for."""

    LENGTH = "length"
    CODE = "code"
    MATHS = "maths"
    REASONING = "reasoning"
    CONSTRAINTS = "constraints"
    CONTEXT = "context"
    SMALL_TASK = "small task"


@dataclass(frozen=True, slots=True)
class Score:
    parts: dict[Trait, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    @property
    def main_trait(self) -> Trait:
        """Return what speaks loudest for a smart model."""
        return max(self.parts, key=lambda trait: self.parts[trait])


def _ramp(count: float, start: float, end: float, most: float) -> float:
    """Return 0 up to `start`, `most` from `end` on, and what lies between in between."""
    return most * min(1.0, max(0.0, (count - start) / (end - start)))


def _count(number: int, *weights: float) -> float:
    """Return the sum of the first so many weights."""
    return sum(weights[:number])


def score(seen: Features, *, context_tokens: int = 0) -> Score:
    words = seen.words
    code = (
        _count(words[Kind.CODE], 0.9, 0.4, 0.3)
        + _count(seen.code_shapes, 0.4, 0.4, 0.3)
        + _count(seen.identifiers, 0.3, 0.3)
        + (1.0 if seen.fences else 0.0)
    )
    if code:
        code += _count(words[Kind.MAKE], 0.4)
    maths = (
        _count(words[Kind.MATHS], 0.8, 0.3)
        + _count(words[Kind.PROVE], 1.0, 0.3)
        + _count(seen.formulas, 0.6, 0.4)
        + _count(seen.equations, 0.4, 0.2)
        + _ramp(seen.numbers, 2, 6, 0.8)
    )
    reasoning = (
        _count(words[Kind.REASON], 1.0, 0.4, 0.3)
        + _count(words[Kind.WHY], 0.3, 0.2)
        + _count(seen.repeated, 0.25, 0.25, 0.25)
    )
    constraints = (
        _count(words[Kind.LIMIT], 0.25, 0.25, 0.25)
        + _ramp(seen.clauses, 1, 6, 0.5)
        + _count(max(0, seen.questions - 1), 0.25)
    )
    small = -_count(words[Kind.SIMPLE], 0.8, 0.3) - (
        _count(words[Kind.FACT], 1.2) * (1 - _ramp(seen.tokens, 20, 60, 1.0))
    )
    return Score(
        {
            Trait.LENGTH: _ramp(seen.tokens, 40, 240, 1.2) + (seen.tokens >= LONG_TOKENS),
            Trait.CODE: code,
            Trait.MATHS: maths,
            Trait.REASONING: reasoning,
            Trait.CONSTRAINTS: constraints,
            Trait.CONTEXT: _ramp(context_tokens, 2_000, 30_000, 0.6),
            Trait.SMALL_TASK: small,
        }
    )
