"""Two providers with a model each, as an operator's file describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conversations.conftest import ApiClient

ENDPOINT = """
[[endpoint]]
name = "{name}"
protocol = "anthropic"
base_url = "{url}"
{limits}

[[model]]
name = "{name}"
display_name = "{name}"
provider = "{name}"
model_id = "{name}"
tier = "{tier}"
context_window = 8192
max_output = 1024
answer_tokens = 512
continuation = "prefill"
fallbacks = {fallbacks}
{price}
"""
FREE = "free = true"
DEAR = """prices_read = 2026-01-01
price = { input = 1_000_000, output = 1_000_000, cache_write = 1_250_000, cache_read = 100_000 }"""


def describe(first_url: str, second_url: str, *, limits: str = "", fallbacks: str = "[]") -> str:
    """Return the file; `limits` and `fallbacks` are the first one's."""
    return ENDPOINT.format(
        name="first", url=first_url, tier="smart", price=DEAR, limits=limits, fallbacks=fallbacks
    ) + ENDPOINT.format(
        name="second", url=second_url, tier="fast", price=FREE, limits="", fallbacks="[]"
    )


def said_of_first(**said: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("two_lanes", [said], indirect=True)


async def enqueue(api: ApiClient, model: str, content: str = "Hi") -> dict[str, str]:
    return await api.enqueue(await api.new_conversation(model=model), content)
