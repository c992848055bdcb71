"""A short text from a model for the house's own use: not streamed, not shown while it is written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from django.utils import timezone

from chatbot.accounts.budgets import read_budget
from chatbot.accounts.models import User
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.engine import Candidate, Chosen, stream_completion
from llm.pricing import Call
from llm.tokens import UNKNOWN
from llm.types import Prompt, TextDelta


def can_afford(user: User, prompt: Prompt) -> bool:
    """Say whether a person's budget has room for a question and the longest answer to it."""
    asked = UNKNOWN.count_prompt(prompt)
    return read_budget(user, now=timezone.now()).remaining >= asked + prompt.max_output


async def complete(
    prompt: Prompt,
    models: Sequence[ModelSpec],
    calls: list[Call],
    *,
    may_wait: bool = True,
) -> tuple[str, str]:
    """Return what the first of these models that can has to say, and its name.

    `calls` is given each call once it has ended, also when nothing came of it. Where nobody
    `may_wait`, a provider at its limit is not asked again. Raises ProviderError.
    """
    registry = get_registry()
    means = registry.means if may_wait else replace(registry.means, has_queue=True)
    text, model = "", ""

    async def open_candidate(spec: ModelSpec) -> Candidate:
        return Candidate(spec, await registry.open_provider(spec), prompt)

    completion = stream_completion(
        await registry.means.gate.arrange(models),
        open_candidate,
        calls=calls,
        means=means,
    )
    async with aclosing(completion) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Chosen):
                text, model = event.kept, event.spec.name
    return text, model
