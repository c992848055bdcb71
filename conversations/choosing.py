"""Which models answer a message: what the router has to know, and what is kept of its decision."""

from __future__ import annotations

from dataclasses import dataclass

from chatbot.accounts.budgets import monthly_limit
from chatbot.core.crypto import DataCipher
from conversations.branches import Draft, answer_seq
from conversations.models import Conversation, Generation
from conversations.places import Door
from conversations.prompts import count_prompt, read_sizes, system_text
from conversations.queries import Standing
from conversations.sizes import NEUTRAL, size_of
from llm.catalog import AUTO, ModelSpec
from llm.conf import get_registry
from llm.routing import (
    Allowance,
    Asked,
    Reason,
    Route,
    check_plan,
    find_note_takers,
    find_pool,
    find_stand_ins,
    route,
    with_fallbacks,
)
from llm.tokens import count_turn

# So many answers after a question that needed a smart model come from one as well. "And without the
# loop?" is short, but not simple.
FOLLOW_UPS = 3
SEQS_PER_TURN = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """A route, the size of its first model's prompt, and until which answer a smart model stays."""

    route: Route
    prompt_tokens: int
    smart_until: int

    @property
    def tokens(self) -> int:
        """Return the most that the answer can use, prompt included."""
        return self.prompt_tokens + self.route.primary.answer_tokens


def find_choice(requested: str, plan: str) -> ModelSpec | None:
    """Return the model that was asked for by name, or None for `auto`.

    Raises UnknownModel, ModelSwitchedOff or ModelNotInPlan.
    """
    registry = get_registry()
    if requested == AUTO:
        find_pool(registry.models(), plan)
        return None
    spec = registry.resolve(requested)
    check_plan(spec, plan)
    return spec


def find_writers(conversation: Conversation) -> list[ModelSpec]:
    """Return the models that may sum up or name a conversation, best first; perhaps none."""
    registry = get_registry()
    chosen = None if conversation.model == AUTO else registry.find_known(conversation.model)
    models = registry.preferred_models()
    return find_note_takers(models, conversation.user.plan, chosen=chosen)


def choose(
    standing: Standing, draft: Draft, *, chosen: ModelSpec | None, door: Door, cipher: DataCipher
) -> Choice:
    """Decide who answers a draft, before it is written.

    Raises MessageTooLong, CannotOpen, Busy where the only model with room for it has no room in its
    line, or what `find_choice` raises if that has changed since.
    """
    conversation = standing.conversation
    models = get_registry().preferred_models()
    system = system_text(conversation, cipher)
    if draft.question is None:
        sizes = read_sizes(conversation.pk, draft.parent_seq, models)
    else:
        before = read_sizes(conversation.pk, draft.question.parent_seq, models)
        sizes = [size_of(draft.question), *before]
    tokens = [stored.fit(NEUTRAL) for stored in sizes]
    limit, place = monthly_limit(conversation.user), answer_seq(conversation, draft)
    asked = Asked(
        text="" if chosen else draft.text,
        plan=conversation.user.plan,
        # It may be deleted just now; then its place cannot be taken either.
        question_tokens=tokens[0] if tokens else 0,
        context_tokens=sum(tokens[1:]) + count_turn(system),
        follows_smart=place <= conversation.smart_until,
        allowance=Allowance(limit, remaining=limit - standing.used),
    )
    found = door.relieve(
        route(asked, models, chosen=chosen), models, tokens=sum(tokens) + count_turn(system)
    )
    smart_until = conversation.smart_until
    if found.is_earned:
        smart_until = place + FOLLOW_UPS * SEQS_PER_TURN
    return Choice(found, count_prompt(sizes, system, found.primary), smart_until)


@dataclass(frozen=True, slots=True)
class Kept:
    """Who was chosen when a message was accepted, and who may stand in, as far as they are here."""

    candidates: tuple[ModelSpec, ...]
    reason: str


def kept_route(generation: Generation) -> Kept:
    """Return who is to answer, best first; others, where the model chosen is gone since.

    Raises UnknownModel or ModelNotInPlan when nobody is left.
    """
    registry, plan = get_registry(), generation.conversation.user.plan
    models = registry.preferred_models()
    name, reason = generation.routed_model, generation.route_reason
    if not name:
        # Accepted by a release that decided when it answered.
        is_auto = generation.requested_model == AUTO
        name = registry.default.name if is_auto else generation.requested_model
        reason = "" if is_auto else Reason.CHOSEN
    spec = next((spec for spec in models if spec.name == name), None)
    if spec is not None:
        return Kept(with_fallbacks(spec, models, plan), reason)
    return Kept(find_stand_ins(registry.find_known(name), models, plan), Reason.STAND_IN)
