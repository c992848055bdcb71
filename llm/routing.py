"""Which model answers a message, decided from what can be seen of it. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from llm.catalog import Catalog, ModelSpec, Tier
from llm.errors import ModelNotInPlan, UnknownModel
from llm.features import measure
from llm.scoring import THRESHOLD, Score, Trait, score
from llm.tokens import estimate_tokens

# With less than one in so many tokens of the month left, the rest goes to fast models.
NEARLY_USED = 10


class Reason(StrEnum):
    """Why a model was chosen: kept with each answer, and shown beside its name."""

    CHOSEN = "chosen by name"
    ONLY = "only model here"
    SIMPLE = "simple question"
    LONG = "long question"
    CODE = "code"
    MATHS = "maths"
    REASONING = "reasoning"
    CONDITIONS = "several conditions"
    CONTEXT = "long conversation"
    FOLLOW_UP = "follow-up"
    ROOM = "room for all of it"
    BUDGET = "budget nearly used"
    BUSY = "others are busy"
    STAND_IN = "stand-in"

    @property
    def sentence(self) -> str:
        """Return it in a sentence for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.CHOSEN: "This model was chosen by name.",
    Reason.ONLY: "No other kind of model is available here.",
    Reason.SIMPLE: "A short, simple question: a fast model answers it as well.",
    Reason.LONG: "A long question goes to a model that reads closely.",
    Reason.CODE: "Code goes to a model that is good at it.",
    Reason.MATHS: "Calculations and proofs go to a model that reasons well.",
    Reason.REASONING: "A question to think about goes to a model that reasons well.",
    Reason.CONDITIONS: "Many conditions at once go to a model that keeps them all.",
    Reason.CONTEXT: "In a long conversation, a model answers that keeps track of it.",
    Reason.FOLLOW_UP: "The model that answered before goes on.",
    Reason.ROOM: "Other models have no room for the whole conversation.",
    Reason.BUDGET: "This month's budget is nearly used: a fast model makes it last.",
    Reason.BUSY: "The model for this question has a long line: this one answers sooner.",
    Reason.STAND_IN: "The model that was to answer was not available: another one did.",
}
_REASONS = {
    Trait.LENGTH: Reason.LONG,
    Trait.CODE: Reason.CODE,
    Trait.MATHS: Reason.MATHS,
    Trait.REASONING: Reason.REASONING,
    Trait.CONSTRAINTS: Reason.CONDITIONS,
    Trait.CONTEXT: Reason.CONTEXT,
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """A person's tokens: what the month began with, and what is left."""

    limit: int
    remaining: int

    @property
    def is_nearly_used(self) -> bool:
        return self.remaining * NEARLY_USED < self.limit


@dataclass(frozen=True, slots=True)
class Asked:
    """A message, as far as it matters to who answers; sizes are in tokens.

    `context_tokens` is everything that goes to the model before the question. `follows_smart` says
    that a question shortly before needed a smart model: what follows is about the same, and that
    model has it in its prompt cache. Without an allowance nothing is short.
    """

    text: str
    plan: str
    question_tokens: int | None = None
    context_tokens: int = 0
    follows_smart: bool = False
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Who is to answer: the model chosen, then those that may stand in for it, best first.

    `is_earned` says that the question itself needed a smart model. `score` is there if it counted.
    """

    candidates: tuple[ModelSpec, ...]
    reason: Reason
    is_earned: bool = False
    score: Score | None = None

    @property
    def primary(self) -> ModelSpec:
        return self.candidates[0]


def route(asked: Asked, models: Sequence[ModelSpec], *, chosen: ModelSpec | None = None) -> Route:
    """Decide between the models that are available, of which the preferred come first.

    A model that was chosen by name answers, whatever the question. Raises UnknownModel where there
    is none, and ModelNotInPlan when the person's plan leaves none.
    """
    if chosen is not None:
        check_plan(chosen, asked.plan)
        is_smart = chosen.tier == "smart"
        return Route(with_fallbacks(chosen, models, asked.plan), Reason.CHOSEN, is_earned=is_smart)
    pool = find_pool(models, asked.plan)
    choice = _choose(asked, pool)
    return Route(
        with_fallbacks(choice.spec, models, asked.plan),
        choice.reason,
        is_earned=choice.is_earned,
        score=choice.score,
    )


def check_plan(spec: ModelSpec, plan: str) -> None:
    """Raises ModelNotInPlan, with the plans that have the model."""
    if plan not in spec.plans:
        raise ModelNotInPlan(detail={"model": spec.name, "plans": list(spec.plans)})


def prefer(models: Iterable[ModelSpec], catalog: Catalog) -> list[ModelSpec]:
    """Return models in the order in which `auto` takes them within a tier.

    The catalogue's defaults come first, then what is cheaper; local models are the last.
    """
    defaults = (catalog.default_hosted, catalog.default_fast)

    def place(spec: ModelSpec) -> tuple[bool, int, int]:
        rank = defaults.index(spec.name) if spec.name in defaults else len(defaults)
        return spec.is_local, rank, spec.price.input + spec.price.output

    return sorted(models, key=place)


def find_note_takers(
    models: Iterable[ModelSpec], plan: str, *, chosen: ModelSpec | None
) -> list[ModelSpec]:
    """Return who may sum up or name a conversation, best first: fast models before smart ones.

    What is said to a `chosen` model on this machine is not told to one elsewhere.
    """
    stays_here = chosen is not None and chosen.is_local
    able = [
        spec
        for spec in models
        if spec.takes_notes and plan in spec.plans and (spec.is_local or not stays_here)
    ]
    return sorted(able, key=lambda spec: spec.tier != "fast")


def find_pool(models: Sequence[ModelSpec], plan: str) -> list[ModelSpec]:
    """Return those between which `auto` decides: a plan's hosted models, or else its local ones.

    Raises UnknownModel or ModelNotInPlan when there are none.
    """
    allowed = [spec for spec in models if plan in spec.plans]
    if not allowed:
        raise (
            ModelNotInPlan("Your plan includes none of the models here.")
            if models
            else UnknownModel
        )
    # The small model of this machine answers where nobody else can.
    return [spec for spec in allowed if not spec.is_local] or allowed


def with_fallbacks(
    spec: ModelSpec, models: Iterable[ModelSpec], plan: str
) -> tuple[ModelSpec, ...]:
    """Return a model and those of its fallbacks that are available and in the plan, best first."""
    by_name = {other.name: other for other in models if plan in other.plans}
    return (spec, *(by_name[name] for name in spec.fallbacks if name in by_name))


def find_stand_ins(
    gone: ModelSpec | None, models: Sequence[ModelSpec], plan: str
) -> tuple[ModelSpec, ...]:
    """Return who may answer for a model that is not available any more, best first.

    Its own fallbacks, or else one of its tier with that one's. Raises as `find_pool` does.
    """
    pool = find_pool(models, plan)
    if gone is None:
        return with_fallbacks(pool[0], models, plan)
    own = with_fallbacks(gone, models, plan)[1:]
    return own or with_fallbacks(_first_of(gone.tier, pool) or pool[0], models, plan)


@dataclass(frozen=True, slots=True)
class _Choice:
    spec: ModelSpec
    reason: Reason
    is_earned: bool = False
    score: Score | None = None


def _choose(asked: Asked, pool: list[ModelSpec]) -> _Choice:
    fast, smart = _first_of("fast", pool), _first_of("smart", pool)
    if fast is None or smart is None:
        return _Choice(pool[0], Reason.ONLY)
    wanted = _want(asked, pool)
    is_dear = wanted.spec.tier == "smart" and not _is_affordable(wanted.spec, asked)
    if is_dear and _has_room(fast, question_tokens(asked)):
        return _Choice(fast, Reason.BUDGET, score=wanted.score)
    return wanted


def _want(asked: Asked, pool: list[ModelSpec]) -> _Choice:
    """Return what the question asks for, whatever it costs."""
    seen = measure(asked.text, tokens=question_tokens(asked))
    size = question_tokens(asked) + asked.context_tokens
    roomy = [spec for spec in pool if _has_room(spec, size)] or pool
    fast, smart = _first_of("fast", roomy), _first_of("smart", roomy)
    found = score(seen, context_tokens=asked.context_tokens)
    needs_smart = found.total >= THRESHOLD
    if fast is None or smart is None:
        return _Choice(roomy[0], Reason.ROOM, is_earned=needs_smart, score=found)
    if needs_smart:
        return _Choice(smart, _REASONS[found.main_trait], is_earned=True, score=found)
    if asked.follows_smart:
        return _Choice(smart, Reason.FOLLOW_UP, score=found)
    return _Choice(fast, Reason.SIMPLE, score=found)


def _first_of(tier: Tier, models: Iterable[ModelSpec]) -> ModelSpec | None:
    return next((spec for spec in models if spec.tier == tier), None)


def _is_affordable(spec: ModelSpec, asked: Asked) -> bool:
    """Say whether what is left covers the longest answer, and is not nearly used up."""
    if asked.allowance is None:
        return True
    return (
        worst_case_tokens(spec, asked) <= asked.allowance.remaining
        and not asked.allowance.is_nearly_used
    )


def worst_case_tokens(spec: ModelSpec, asked: Asked) -> int:
    """Return the most that an answer can use: the prompt as far as it fits, and the answer."""
    prompt = question_tokens(asked) + asked.context_tokens
    return min(prompt, spec.context_window - spec.answer_tokens) + spec.answer_tokens


def question_tokens(asked: Asked) -> int:
    if asked.question_tokens is not None:
        return asked.question_tokens
    return estimate_tokens(asked.text)


def _has_room(spec: ModelSpec, tokens: int) -> bool:
    return tokens + spec.answer_tokens <= spec.context_window
