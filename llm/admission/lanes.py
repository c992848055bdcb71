"""Which calls share a limit at their provider."""

from __future__ import annotations

from llm.admission.slots import Lane, Rules
from llm.catalog import EndpointSpec, ModelSpec


def lane_of(spec: ModelSpec, endpoint: EndpointSpec | None) -> Lane:
    """Return a model's lane: its endpoint's, or its own where each model has limits of its own.

    A model's numbers win over those of its endpoint, which stand for each of its models then.
    """
    own = (spec.max_concurrency, spec.requests_per_minute, spec.tokens_per_minute)
    shared = (
        (endpoint.max_concurrency, endpoint.requests_per_minute, endpoint.tokens_per_minute)
        if endpoint
        else (None, None, None)
    )
    is_apart = any(own) or (endpoint is not None and endpoint.limits_per == "model")
    name = f"{spec.provider}/{spec.name}" if is_apart else spec.provider
    ceiling, requests, tokens = (mine or ours for mine, ours in zip(own, shared, strict=True))
    return Lane(name, Rules(ceiling, requests, tokens))
