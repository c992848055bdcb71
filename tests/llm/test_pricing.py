from __future__ import annotations

import pytest

from llm.catalog_file import load_catalog
from llm.pricing import cost_micros
from llm.types import Usage

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
        ("claude-sonnet-5-5", Usage(0, 0, cache_read_tokens=1_000_000), 200_000),
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
