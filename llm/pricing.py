"""What calls to models cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm.catalog import FREE, ModelSpec, Price
from llm.types import Usage

TOKENS_PER_PRICE_UNIT = 1_000_000

# How a call came to its end: as its model meant it to, at the user's wish, in a failure, or with
# the worker that made it.
CallEnding = Literal["finished", "stopped", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a provider may bill; an answer that was taken up again took several.

    `usage` is the provider's own count where `is_metered`, else an estimate from what was sent
    and received. `cost_micros` is in micro-dollars.
    """

    model: str
    provider: str
    usage: Usage
    cost_micros: int
    is_metered: bool
    ending: CallEnding


def bill_call(spec: ModelSpec, usage: Usage, *, is_metered: bool, ending: CallEnding) -> Call:
    """Return a call to this model with its cost."""
    return Call(
        model=spec.name,
        provider=spec.provider,
        usage=usage,
        cost_micros=cost_micros(usage, spec),
        is_metered=is_metered,
        ending=ending,
    )


def has_price(spec: ModelSpec) -> bool:
    """Say whether it is known what a call costs, if only that it costs nothing."""
    return spec.free or spec.price != FREE


def cost_micros(usage: Usage, spec: ModelSpec) -> int:
    """Return micro-dollars, rounded up: the ledger never under-charges."""
    price = _price_for(usage.prompt_tokens, spec)
    total = (
        price.input * usage.input_tokens
        + price.output * usage.output_tokens
        + price.cache_write * usage.cache_write_tokens
        + price.cache_read * usage.cache_read_tokens
    )
    return -(-total // TOKENS_PER_PRICE_UNIT)


def _price_for(prompt_tokens: int, spec: ModelSpec) -> Price:
    if (
        spec.long_price is not None
        and spec.long_prompt_above is not None
        and prompt_tokens > spec.long_prompt_above
    ):
        return spec.long_price
    return spec.price
