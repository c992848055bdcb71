from __future__ import annotations

import pytest

from llm.catalog import CatalogError
from llm.catalog_file import load_catalog, parse_catalog

MODEL = """
[[model]]
name = "m"
display_name = "M"
provider = "local"
model_id = "m"
tier = "fast"
continuation = "restart"
context_window = 100
max_output = 50
answer_tokens = 10
prices_read = 2026-11-23
price = { input = 1, output = 2, cache_write = 3, cache_read = 4 }
"""
HOSTED = MODEL.replace('"m"', '"h"').replace('"local"', '"anthropic"')
SERVER = """
[[endpoint]]
name = "anthropic"
protocol = "anthropic"
base_url = "https://example.org"
"""
HEAD = 'default_hosted = "h"\ndefault_local = "m"\n'
WHOLE = HEAD + SERVER + MODEL + HOSTED


def test_the_shipped_catalogue_is_valid_and_has_both_defaults():
    catalog = load_catalog()
    assert catalog.default_hosted == "claude-sonnet-5-5"
    assert catalog.default_local == "smollm2-135m"
    assert {spec.name for spec in catalog.models} >= {"claude-haiku-5-5", "claude-opus-5-5"}


def test_cache_prices_of_hosted_models_lie_around_their_input_price():
    for spec in load_catalog().models:
        assert spec.free == spec.is_local
        for price in (spec.price, spec.long_price or spec.price):
            assert price.cache_write * 4 == price.input * 5
            assert price.cache_read <= price.input // 10


def test_a_small_catalogue_is_read():
    assert [spec.name for spec in parse_catalog(WHOLE).models] == ["m", "h"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('model_id = "m"\n', "", "model 'm': missing 'model_id'"),
        ("tier =", "teir =", "unknown field 'teir'"),
        ('"fast"', '"quick"', "tier must be one of"),
        ('"local"', '"remote"', "provider must be one of"),
        ("context_window = 100", "context_window = 50", "answer_tokens <= max_output"),
        ("max_output = 50", "max_output = 5.5", "whole and positive"),
        ("answer_tokens = 10", "answer_tokens = 0", "whole and positive"),
        ("input = 1", "input = -1", "whole micro-dollars"),
        ("input = 1,", "", "price needs exactly"),
        ("2026-11-23", '"yesterday"', "prices_read must be a date"),
        ('display_name = "M"', 'display_name = ""', "non-empty string"),
        ('name = "m"', 'name = "h"', "appears twice"),
        ('default_local = "m"', 'default_local = "h"', "default_local: names no such model"),
        ("price = {", "long_prompt_above = 5\nprice = {", "belong together"),
        ("[[model]]", "[[model", "not valid TOML"),
        ("[[endpoint]]", "[endpoint]", "endpoint: each one begins with [[endpoint]]"),
        ('name = "m"', 'name = "llama3.2:3b"', "name takes 64 letters"),
        ('name = "m"', f'name = "{"m" * 65}"', "name takes 64 letters"),
        ('name = "m"', 'name = "auto"', "is not 'auto'"),
        ('name = "anthropic"', f'name = "{"a" * 33}"', "name may have 32 characters"),
        ("price = {", "prize = {", "has no price; give one, or say free = true"),
        ("price = {", "free = true\nprice = {", "costs nothing exactly when"),
        ('"restart"', '"somehow"', "continuation must be one of"),
        ("price = {", 'fallbacks = ["x"]\nprice = {', "fallback 'x' is no other model"),
        ('protocol = "anthropic"', 'protocol = "smtp"', "protocol must be one of"),
        ('"https://example.org"', '"ftp://example.org"', "base_url must begin with"),
        ('base_url = "https://example.org"', "", "needs base_url or url_setting"),
        ("price = {", 'plans = ["gold"]\nprice = {', "plans must name some of free, pro"),
        ("price = {", "plans = []\nprice = {", "plans must name some of free, pro"),
        ("price = {", 'plans = "pro"\nprice = {', "plans must be a list of names"),
        ('default_local = "m"', 'default_local = "m"\ndefault_fast = "x"', "names no fast model"),
    ],
)
def test_a_mistake_is_named(old, new, complaint):
    with pytest.raises(CatalogError, match=complaint.replace("[", r"\[")):
        parse_catalog(WHOLE.replace(old, new, 1))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CatalogError, match="cannot read"):
        load_catalog(tmp_path / "none.toml")


def test_every_fault_has_a_line_of_its_own():
    broken = WHOLE.replace('tier = "fast"', 'tier = "quick"').replace("smtp", "")
    with pytest.raises(CatalogError) as caught:
        parse_catalog(broken)
    assert len(caught.value.faults) == 2


def test_a_further_file_adds_endpoints_and_models(tmp_path):
    more = tmp_path / "more.toml"
    server = SERVER.replace('"anthropic"', '"vllm"', 1).replace('"anthropic"', '"openai"', 1)
    more.write_text(server + MODEL.replace('"local"', '"vllm"'))
    catalog = load_catalog(more)
    added = catalog.find("m")
    assert added is not None
    assert added.provider == "vllm"
    endpoint = catalog.find_endpoint("vllm")
    assert endpoint is not None
    assert endpoint.protocol == "openai"
