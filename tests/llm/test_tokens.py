"""The estimate's shape; its truth is measured against the real tokenizer in test_local_server."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from llm.tokens import Size, estimate_tokens, measure


def test_nothing_is_no_token_and_anything_is_at_least_one():
    assert estimate_tokens("") == 0
    assert measure("a") == Size(1)
    assert measure("é") == Size(0, 2)
    assert estimate_tokens("a") >= 1


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(first, second):
    assert estimate_tokens(first + "x" * 40 + second) >= estimate_tokens("x" * 40)


@given(st.text(min_size=1))
def test_stays_within_what_bytes_allow(text):
    assert 1 <= measure(text).total <= len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(("text", "least"), [("7" * 100, 100), ("你好" * 50, 180), ("😀" * 10, 30)])
def test_dense_text_counts_more_than_english(text, least):
    assert estimate_tokens(text) >= least


def test_a_lone_surrogate_is_counted_not_refused():
    assert estimate_tokens("\ud800") >= 1
