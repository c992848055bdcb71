from __future__ import annotations

from pathlib import Path

import pytest

from llm.catalog_file import load_catalog
from llm.pricing import cost_micros
from llm.providers.anthropic_stream import AnthropicStream
from llm.providers.decoding import AnswerStream
from llm.providers.openai_stream import OpenAiStream
from llm.types import Finished, Usage

CATALOG = load_catalog()


def cost(name: str, usage: Usage) -> int:
    spec = CATALOG.find(name)
    assert spec is not None
    return cost_micros(usage, spec)


@pytest.mark.parametrize(
    ("name", "usage", "micros"),
    [
        ("smollm2-135m", Usage(5_000, 5_000), 0),
        ("claude-sonnet-5-5", Usage(1_000_000, 0), 2_000_000),
        ("claude-sonnet-5-5", Usage(0, 1_000_000), 10_000_000),
        ("claude-sonnet-5-5", Usage(0, 0, cache_read_tokens=1_000_000), 100_000),
        ("claude-opus-5-5", Usage(0, 0, cache_write_tokens=1_000_000), 5_000_000),
        ("claude-haiku-5-5", Usage(100_000, 1_000), 10_500),
        ("claude-haiku-5-5", Usage(100_001, 1_000), 52_501),
        ("claude-haiku-5-5", Usage(1, 1_000, cache_read_tokens=100_000), 7_501),
    ],
)
def test_costs_what_the_catalogue_says(name, usage, micros):
    assert cost(name, usage) == micros


def test_rounds_up_so_that_nothing_is_given_away():
    assert cost("claude-haiku-5-5", Usage(1, 0)) == 1
    assert cost("claude-haiku-5-5", Usage(0, 0)) == 0


def spent(stream: AnswerStream, recorded: bytes) -> Usage:
    """Return what a recorded answer says it used."""
    (ending,) = [event for event in stream.feed(recorded) if isinstance(event, Finished)]
    assert ending.is_metered
    return ending.usage


def test_a_recorded_usage_of_anthropic_costs_what_a_hand_computes():
    recorded = (Path(__file__).parent / "fixtures/anthropic.sse").read_bytes()
    usage = spent(AnthropicStream(), recorded)
    assert usage == Usage(25, 15, cache_read_tokens=100, cache_write_tokens=12)
    # Micro-dollars a token: 4 read, 5 kept, 0.2 from the cache, 20 written.
    assert cost("claude-opus-5-5", usage) == 25 * 4 + 12 * 5 + 100 // 5 + 15 * 20 == 480


def test_a_documented_usage_of_anthropic_costs_what_a_hand_computes():
    # platform.claude.com, "Prompt caching": a book is kept, then read. $2, $2.50, $0.10, $10.
    first = Usage(21, 393, cache_write_tokens=188_086)
    again = Usage(21, 393, cache_read_tokens=188_086)
    assert cost("claude-sonnet-5-5", first) == 42 + 470_215 + 3_930
    assert cost("claude-sonnet-5-5", again) == 42 + 18_809 + 3_930  # 18,808.6, rounded up


# developers.openai.com, "Prompt caching": what an answer says of its prompt.
OPENAI = b"""data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,\
"prompt_tokens_details":{"cached_tokens":1920},"completion_tokens_details":{"reasoning_tokens":0}}}

data: [DONE]

"""


def test_a_documented_usage_of_openai_costs_what_a_hand_computes(tmp_path):
    usage = spent(OpenAiStream(), OPENAI)
    assert usage == Usage(86, 300, cache_read_tokens=1_920)
    priced = tmp_path / "models.toml"
    priced.write_text(
        """
        [[model]]
        name = "priced"
        display_name = "Priced"
        provider = "openai"
        model_id = "priced"
        tier = "fast"
        continuation = "restart"
        context_window = 100_000
        max_output = 8_000
        answer_tokens = 4_000
        prices_read = 2026-11-25
        price = { input = 2_000_000, output = 10_000_000, cache_write = 0, cache_read = 200_000 }
        """
    )
    spec = load_catalog(priced).find("priced")
    assert spec is not None
    assert cost_micros(usage, spec) == 86 * 2 + 1_920 // 5 + 300 * 10 == 3_556
