"""How well labelled prompts are routed, and what that saves. Pure, but for reading its files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from llm.catalog import ModelSpec, Tier
from llm.pricing import cost_micros
from llm.routing import Asked, Route, find_pool, question_tokens, route
from llm.types import Usage

PROMPTS = Path(__file__).with_name("data") / "routing"
TUNING, HELD = PROMPTS / "tuning.jsonl", PROMPTS / "held.jsonl"

# Assumed, in tokens: what an answer to a question of each label has, whoever writes it, and what
# goes to the model before the question.
ANSWER_TOKENS = {"fast": 200, "smart": 900}
CONTEXT_TOKENS = 300
# Most of what people ask is simple; a labelled set has as much of the other.
EVERYDAY_FAST_SHARE = 0.8


class BadPrompts(ValueError):
    """A file of labelled prompts cannot be used; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt, and the tier that should answer it."""

    text: str
    label: Tier
    category: str
    language: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A prompt's route, and the money: as routed, as labelled, and from a smart model always."""

    prompt: Labelled
    route: Route
    routed_micros: int
    labelled_micros: int
    smart_micros: int

    @property
    def is_right(self) -> bool:
        return self.route.primary.tier == self.prompt.label


def read_prompts(path: Path) -> list[Labelled]:
    """Read a line of JSON for each prompt: text, label, category, language. Raises BadPrompts."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise BadPrompts(f"cannot read {path}: {reason}") from exc
    prompts = [_read_line(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line]
    if not prompts:
        raise BadPrompts(f"{path}: holds no prompts")
    return prompts


def _read_line(line: str, where: str) -> Labelled:
    try:
        row = json.loads(line)
        text, label = row["text"], row["label"]
        category, language = row.get("category", ""), row.get("language", "")
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise BadPrompts(f"{where}: needs an object with text and label") from exc
    if not isinstance(text, str) or label not in get_args(Tier):
        raise BadPrompts(f"{where}: label must be one of {', '.join(get_args(Tier))}")
    return Labelled(text, label, str(category), str(language))


def judge(prompts: Iterable[Labelled], models: Sequence[ModelSpec], *, plan: str) -> list[Judged]:
    """Route each prompt, and say what its answer would cost, and cost from a smart model.

    Raises UnknownModel or ModelNotInPlan where there is no model, as routing does.
    """
    pool = find_pool(models, plan)
    by_tier = {tier: next((s for s in pool if s.tier == tier), pool[0]) for tier in get_args(Tier)}
    judged = []
    for prompt in prompts:
        asked = Asked(prompt.text, plan, context_tokens=CONTEXT_TOKENS)
        found = route(asked, models)
        tokens = question_tokens(asked) + CONTEXT_TOKENS
        usage = Usage(tokens, ANSWER_TOKENS[prompt.label])
        models_asked = (found.primary, by_tier[prompt.label], by_tier["smart"])
        costs = (cost_micros(usage, spec) for spec in models_asked)
        judged.append(Judged(prompt, found, *costs))
    return judged


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of some prompts; `confusion` counts (label, routed to).

    `saved` and `saved_if_right` are shares of what always asking a smart model would cost: of the
    routes found, and of those that the labels want.
    """

    confusion: Counter[tuple[Tier, Tier]]
    saved: float
    saved_if_right: float

    @property
    def count(self) -> int:
        return self.confusion.total()

    @property
    def accuracy(self) -> float:
        right = sum(number for (label, to), number in self.confusion.items() if label == to)
        return right / self.count


def sum_up(judged: Sequence[Judged], *, fast_share: float | None = None) -> Figures:
    """Return the figures of these prompts, their money as if so large a share were simple."""
    fast = sum(one.prompt.label == "fast" for one in judged)
    weights = {"fast": 1.0, "smart": 1.0}
    if fast_share is not None and 0 < fast < len(judged):
        weights = {
            "fast": fast_share * len(judged) / fast,
            "smart": (1 - fast_share) * len(judged) / (len(judged) - fast),
        }
    routed, labelled, always = (
        sum(weights[one.prompt.label] * getattr(one, f"{kind}_micros") for one in judged)
        for kind in ("routed", "labelled", "smart")
    )
    return Figures(
        Counter((one.prompt.label, one.route.primary.tier) for one in judged),
        saved=1 - routed / always if always else 0.0,
        saved_if_right=1 - labelled / always if always else 0.0,
    )
