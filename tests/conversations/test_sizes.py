"""What is stored of a message's length holds for every model, whatever is learnt later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from conversations.models import Message
from conversations.sizes import NEUTRAL, find_own_count, gauge_of, size_of, store_size
from llm.catalog_file import load_catalog
from llm.conf import set_local_endpoint
from llm.pricing import Call, CallEnding, bill_call
from llm.registry import StaticEndpoint
from llm.tokens import TOKEN_MARGIN, TOKENS_PER_MESSAGE, Scale, measure_turn
from llm.types import Usage

LOCAL, HAIKU = load_catalog().models[:2]
TEXT = "The tide comes in twice a day, a little later each time. " * 4


@pytest.fixture(autouse=True)
def _models() -> Iterator[None]:
    set_local_endpoint(StaticEndpoint("http://localhost:9"))
    yield
    set_local_endpoint(None)


def call(tokens: int, *, metered: bool = True, ending: CallEnding = "finished") -> Call:
    return bill_call(LOCAL, Usage(50, tokens), is_metered=metered, ending=ending)


def test_an_estimate_is_stored_as_it_is_and_scaled_when_it_is_used() -> None:
    stored = size_of(Message(**store_size(TEXT + "你好")))
    assert stored.size == measure_turn(TEXT + "你好")
    finer = replace(LOCAL, token_scale=Scale(2.0, 2.0))
    assert stored.fit(gauge_of(finer)) == pytest.approx(stored.size.total * 2 * TOKEN_MARGIN, abs=1)
    assert stored.fit(NEUTRAL) < stored.fit(gauge_of(finer))


def test_a_models_own_count_needs_no_margin_and_no_scale() -> None:
    message = Message(**store_size(TEXT, 61), model=LOCAL.name)
    for scale in (LOCAL.token_scale, Scale(2.0, 2.0)):
        gauge = gauge_of(replace(LOCAL, token_scale=scale))
        assert size_of(message).fit(gauge) == 61 + TOKENS_PER_MESSAGE


def test_another_model_does_not_go_by_it() -> None:
    message = Message(**store_size(TEXT, 61), model=LOCAL.name)
    assert size_of(message).fit(gauge_of(HAIKU)) == HAIKU.fitting_scale.count(measure_turn(TEXT))
    sibling = replace(HAIKU, tokenizer=LOCAL.family)
    assert size_of(message).fit(gauge_of(sibling)) == 61 + TOKENS_PER_MESSAGE


def test_nothing_said_is_nothing() -> None:
    assert store_size("") == {"token_count": 0, "wide_tokens": 0, "counted_tokens": None}


def test_only_one_whole_metered_call_counts_an_answer() -> None:
    assert find_own_count(LOCAL, [call(61)], TEXT) == 61
    assert find_own_count(LOCAL, [call(61, metered=False)], TEXT) is None
    assert find_own_count(LOCAL, [call(61, ending="stopped")], TEXT) is None
    assert find_own_count(LOCAL, [call(30), call(31)], TEXT) is None
    assert find_own_count(LOCAL, [], TEXT) is None
    assert find_own_count(None, [call(61)], TEXT) is None


def test_a_count_that_cannot_be_or_has_thoughts_in_it_is_not_taken() -> None:
    assert find_own_count(LOCAL, [call(1)], TEXT) is None
    assert find_own_count(LOCAL, [call(6_000)], TEXT) is None
    assert find_own_count(replace(LOCAL, thinking="adaptive"), [call(61)], TEXT) is None
