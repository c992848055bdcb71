"""What an answer costs."""

from __future__ import annotations

from llm.catalog import ModelSpec, Price
from llm.types import Usage

TOKENS_PER_PRICE_UNIT = 1_000_000


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
