"""What is given up while a lane is busy, and in which order. Pure."""

from __future__ import annotations

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


def shorten(spec: ModelSpec) -> ModelSpec:
    """Return the model with a small window; the newest message is asked whole all the same."""
    window = min(spec.context_window, SHORT_CONTEXT + spec.answer_tokens)
    return replace(spec, context_window=window)
