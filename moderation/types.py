"""What a score speaks of: surfaces, categories, and how sure the classifier is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Surface(StrEnum):
    """Where a text comes from, which decides what is normal there."""

    INPUT = "input"
    OUTPUT = "output"
    COMMENT = "comment"


class Category(StrEnum):
    """What may be wrong with a text, close to the hazards of MLCommons' AILuminate 1.0."""

    VIOLENCE = "violence"
    ILLICIT = "illicit"
    SEXUAL = "sexual"
    MINORS = "minors"
    WEAPONS = "weapons"
    HATE = "hate"
    HARASSMENT = "harassment"
    SELF_HARM = "self-harm"
    PRIVACY = "privacy"
    CYBER = "cyber"
    INJECTION = "injection"
    PROFANITY = "profanity"


# What is gone through for every text: going through the class itself takes far longer.
CATEGORIES = tuple(Category)
# The names in https://platform.openai.com/docs/guides/moderation, where it has one.
OPENAI_NAMES: Mapping[Category, str] = {
    Category.VIOLENCE: "violence",
    Category.ILLICIT: "illicit",
    Category.SEXUAL: "sexual",
    Category.MINORS: "sexual/minors",
    Category.WEAPONS: "illicit/violent",
    Category.HATE: "hate",
    Category.HARASSMENT: "harassment",
    Category.SELF_HARM: "self-harm",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the original text, as Python counts characters."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that a text met, and where."""

    rule: str
    category: Category
    score: float
    blocks: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Scores:
    """How far a text lies beyond what harmless texts of its surface reach.

    All are from 0 to 1 and comparable: of harmless texts, about one in a hundred reaches 0.5 and
    one in a thousand 0.9. `risk` is what the surface makes of all of them. `tiers` are those that
    spoke: 1 the local classifier and its rules, 2 the sentence model, 3 a remote judge.
    """

    risk: float
    categories: Mapping[Category, float]
    rules: tuple[str, ...]
    blocks: bool
    version: str
    tiers: tuple[int, ...] = (1,)

    @property
    def top(self) -> Category:
        """The category that scores highest."""
        return max(self.categories, key=lambda name: self.categories[name])
