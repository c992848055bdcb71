"""A short run of the benchmark of long conversations: what of its promises no noise can break."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from llm.conf import get_registry, set_local_endpoint
from tests.bench.continuing import PROMISED_QUERIES, run_continue_benchmark
from tests.stores import Valkey

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def registry_of_its_own() -> None:
    set_local_endpoint(None)
    get_registry.cache_clear()


@pytest.mark.usefixtures("registry_of_its_own")
def test_a_turn_of_a_long_conversation_asks_no_more_than_one_of_a_short_one(
    valkey: Valkey, settings: Settings
) -> None:
    result = run_continue_benchmark(messages=2_000, rounds=3)
    for row in result.rows:
        assert row.prompt_queries <= PROMISED_QUERIES[row.mode]
    for mode in PROMISED_QUERIES:
        queries = {row.whole_queries for row in result.rows if row.mode == mode}
        # A summary's versions are one more.
        assert max(queries) - min(queries) <= 1
    assert result.plans == ()
    assert "2,000" in result.table()
