from __future__ import annotations

from dataclasses import replace

import pytest

from llm.admission.lanes import lane_of
from llm.admission.slots import Lane, Quota, Rules
from llm.catalog import EndpointSpec
from llm.catalog_file import load_catalog
from llm.providers.quotas import read_quota

MODEL = next(spec for spec in load_catalog().models if spec.name == "claude-sonnet-5-5")
SHARED = EndpointSpec("anthropic", "anthropic", "https://example.org", max_concurrency=7)


def test_models_of_one_endpoint_share_its_lane() -> None:
    assert lane_of(MODEL, SHARED) == Lane("anthropic", Rules(ceiling=7))


def test_models_have_lanes_of_their_own_where_limits_are_per_model() -> None:
    lane = lane_of(MODEL, replace(SHARED, limits_per="model"))
    assert lane == Lane("anthropic/claude-sonnet-5-5", Rules(ceiling=7))


def test_a_model_with_limits_of_its_own_shares_none() -> None:
    lane = lane_of(replace(MODEL, tokens_per_minute=5), SHARED)
    assert lane == Lane("anthropic/claude-sonnet-5-5", Rules(7, None, 5))


def test_the_local_model_has_a_lane() -> None:
    assert lane_of(replace(MODEL, provider="local"), None) == Lane("local")


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        ({}, None),
        ({"retry-after": "3"}, None),
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
                "anthropic-ratelimit-tokens-remaining": "39000",
            },
            Quota(50, 0, None, 39_000),
        ),
        (
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-limit-tokens": "150000",
                "x-ratelimit-remaining-tokens": "149984",
            },
            Quota(60, 59, 150_000, 149_984),
        ),
        ({"x-ratelimit-limit-requests": "many"}, None),
    ],
)
def test_headers_tell_limits(headers: dict[str, str], quota: Quota | None) -> None:
    assert read_quota(headers) == quota
