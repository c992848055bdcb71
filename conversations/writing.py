"""A short text that a model writes for a conversation: kept and charged in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import transaction

from chatbot.accounts.ledger import record_calls
from chatbot.accounts.models import Purpose, User
from chatbot.core.db import db_call
from conversations.chores import Hold
from conversations.completing import complete
from llm.catalog import ModelSpec
from llm.pricing import Call
from llm.types import Prompt


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote, and which one; both are empty where none was asked."""

    text: str
    model: str = ""
    cost_micros: int = 0


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
        text, model = await complete(prompt, models, calls)
        cost = sum(call.cost_micros for call in calls)
        await db_call(finish, Written(text, model, cost))
    except BaseException:
        # Also when it took too long. What is charged already is not charged again.
        if calls:
            await db_call(record_calls, user, purpose, calls, source=hold.id)
        raise
