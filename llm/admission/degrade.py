"""What is given up while a lane is busy, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from llm.catalog import ModelSpec

# The context that is left while it is shortened, in tokens: some turns, beside the question.
SHORT_CONTEXT = 4_096


class Step(StrEnum):
    """In their order: each one comes with all those before it."""

    CHEAPER = "cheaper model"
    SHORTER = "shorter context"
    QUEUE = "queue"
    REFUSE = "refusal"


# From which share of the patience on a message's estimated wait asks for it.
FROM = {Step.CHEAPER: 0.05, Step.SHORTER: 0.1, Step.QUEUE: 0.1, Step.REFUSE: 1.0}


def degrade(wait_s: float, *, patience_s: float) -> tuple[Step, ...]:
    """Return the steps that are taken for a message that would wait so long."""
    return tuple(step for step, share in FROM.items() if wait_s > share * patience_s)


def find_relief(
    spec: ModelSpec,
    models: Iterable[ModelSpec],
    steps: Mapping[str, Sequence[Step]],
    *,
    tokens: int,
) -> ModelSpec | None:
    """Return the model that is to answer instead; None if this one may.

    `steps` are those that a message to each model would take, and `tokens` is the size of the
    prompt. A cheaper model takes over where its line is shorter, any other one before a refusal.
    """
    own = steps.get(spec.name, ())
    if Step.CHEAPER not in own:
        return None
    able = [
        other
        for other in models
        if len(steps.get(other.name, tuple(Step))) < len(own)
        and tokens + other.answer_tokens <= other.context_window
        and (Step.REFUSE in own or price_of(other) < price_of(spec))
    ]
    return min(able, key=lambda other: (len(steps[other.name]), price_of(other)), default=None)


def price_of(spec: ModelSpec) -> int:
    return spec.price.input + spec.price.output


def shorten(spec: ModelSpec) -> ModelSpec:
    """Return the model with a small window; the newest message is asked whole all the same."""
    window = min(spec.context_window, SHORT_CONTEXT + spec.answer_tokens)
    return replace(spec, context_window=window)
