"""A short text from a model for the house's own use: not streamed, not shown while it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from chatbot.accounts.budgets import read_budget
from chatbot.accounts.ledger import record_calls
from chatbot.accounts.models import Purpose, User
from chatbot.core.db import db_call
from conversations.chores import Hold
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.engine import Candidate, Chosen, stream_completion
from llm.pricing import Call
from llm.tokens import UNKNOWN
from llm.types import Prompt, TextDelta


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote, and which one; both are empty where none was asked."""

    text: str
    model: str = ""
    cost_micros: int = 0


def can_afford(user: User, prompt: Prompt) -> bool:
    """Say whether a person's budget has room for a question and the longest answer to it."""
    asked = UNKNOWN.count_prompt(prompt)
    return read_budget(user, now=timezone.now()).remaining >= asked + prompt.max_output


async def write_and_keep(
    hold: Hold,
    user: User,
    prompt: Prompt,
    models: Sequence[ModelSpec],
    keep: Callable[[Written], None],
) -> None:
    """Have a text written by the first of these models that can, keep it, and charge the person.

    `keep` runs in the transaction that charges them. Whatever was called is charged once, also
    where nothing came of it. Raises ProviderError, or what `keep` raises.
    """
    purpose, calls = Purpose(hold.kind), list[Call]()

    @transaction.atomic
    def finish(written: Written) -> None:
        keep(written)
        record_calls(user, purpose, calls, source=hold.id)

    try:
        text, model = await _write(prompt, models, calls)
        cost = sum(call.cost_micros for call in calls)
        await db_call(finish, Written(text, model, cost))
    except BaseException:
        # Also when it took too long. What is charged already is not charged again.
        if calls:
            await db_call(record_calls, user, purpose, calls, source=hold.id)
        raise


async def _write(prompt: Prompt, models: Sequence[ModelSpec], calls: list[Call]) -> tuple[str, str]:
    registry = get_registry()
    text, model = "", ""

    async def open_candidate(spec: ModelSpec) -> Candidate:
        return Candidate(spec, await registry.open_provider(spec), prompt)

    completion = stream_completion(
        await registry.means.gate.arrange(models),
        open_candidate,
        calls=calls,
        means=registry.means,
    )
    async with aclosing(completion) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Chosen):
                text, model = event.kept, event.spec.name
    return text, model
