"""What an answer cost whose worker cannot say: at most what was set aside for it."""

from __future__ import annotations

from conversations.models import Generation
from llm.catalog import AUTO, ModelSpec
from llm.conf import get_registry
from llm.errors import UnknownModel
from llm.pricing import Call, CallEnding, bill_call
from llm.tokens import UNKNOWN, measure
from llm.types import Usage


def estimate_call(generation: Generation, *, text: str | None, ending: CallEnding) -> Call:
    """Return the call of a generation that is ended by somebody who did not make it.

    Without its `text`, it is taken to be as long as it could get.
    """
    spec = _find_spec(generation)
    prompt, answer = _split_reservation(generation, spec)
    scale = spec.token_scale if spec is not None else UNKNOWN
    usage = Usage(prompt, answer if text is None else scale.count(measure(text)))
    if spec is not None:
        return bill_call(spec, usage, is_metered=False, ending=ending)
    # No catalogue knows its price any more; its tokens count all the same.
    return Call(generation.requested_model, "", usage, 0, is_metered=False, ending=ending)


def _split_reservation(generation: Generation, spec: ModelSpec | None) -> tuple[int, int]:
    reserved, answer = generation.reserved_tokens, generation.max_output
    if answer is None:
        # Accepted by a release that always reserved the longest.
        answer = spec.answer_tokens if spec is not None else 0
    answer = min(answer, reserved)
    return reserved - answer, answer


def _find_spec(generation: Generation) -> ModelSpec | None:
    registry = get_registry()
    name = generation.model or generation.routed_model or generation.requested_model
    if name != AUTO:
        return registry.find_known(name)
    try:
        return registry.default
    except UnknownModel:
        return None
