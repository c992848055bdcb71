"""What operators change of the models, and what they cannot."""

from __future__ import annotations

import pytest

from llm import conf
from llm.admission.slots import Lane, Rules
from llm.catalog_file import load_catalog
from llm.errors import ModelSwitchedOff, UnknownModel
from llm.overrides import Override
from llm.providers.connections import Endpoint
from llm.registry import Registry, StaticEndpoint

CATALOG = load_catalog()
HAIKU, SONNET, LOCAL = "claude-haiku-5-5", "claude-sonnet-5-5", "smollm2-135m"


@pytest.fixture
def registry() -> Registry:
    hosted = {"anthropic": Endpoint("http://x", "k")}
    return Registry(CATALOG, hosted=hosted, local=StaticEndpoint("http://y"))


def test_a_model_that_is_switched_off_is_not_offered_and_refused_by_name(registry):
    registry.override({SONNET: Override(is_off=True)})
    assert SONNET not in [spec.name for spec in registry.models()]
    assert registry.default.name == HAIKU
    with pytest.raises(ModelSwitchedOff) as caught:
        registry.resolve(SONNET)
    assert (caught.value.code, caught.value.status) == ("model_switched_off", 400)
    assert registry.find_known(SONNET) is not None
    registry.override({})
    assert registry.resolve(SONNET).name == SONNET


def test_one_that_is_not_there_anyway_is_unknown_rather_than_off():
    registry = Registry(CATALOG, hosted={}, local=StaticEndpoint("http://y"))
    registry.override({SONNET: Override(is_off=True)})
    with pytest.raises(UnknownModel) as caught:
        registry.resolve(SONNET)
    assert caught.value.code == "unknown_model"


def test_limits_replace_those_of_the_catalogue_and_prices_stay(registry):
    before = registry.resolve(HAIKU)
    registry.override({HAIKU: Override(answer_tokens=512, plans=("pro",)), "gone": Override()})
    after = registry.resolve(HAIKU)
    assert (after.answer_tokens, after.plans) == (512, ("pro",))
    assert after.price == before.price
    registry.override({})
    assert registry.resolve(HAIKU) == before


def test_a_model_with_a_limit_of_its_own_shares_its_lane_with_no_other(registry):
    spec = registry.resolve(LOCAL)
    assert registry.lane(spec).name == spec.provider
    registry.override({LOCAL: Override(max_concurrency=2, tokens_per_minute=9_000)})
    lane = registry.lane(registry.resolve(LOCAL))
    assert lane == Lane(f"{spec.provider}/{LOCAL}", Rules(2, None, 9_000))


def test_limits_that_do_not_fit_change_nothing(registry):
    spec = registry.resolve(LOCAL)
    too_long = Override(answer_tokens=spec.max_output + 1, plans=("gold",))
    assert too_long.find_faults(spec) == {
        "answer_tokens": "smollm2-135m answers with 1 to 1024 tokens.",
        "plans": "There is no plan gold: free, pro.",
    }
    assert Override(answer_tokens=0).find_faults(spec)
    assert Override(plans=()).find_faults(spec)
    assert set(Override(requests_per_minute=0).find_faults(spec)) == {"requests_per_minute"}
    registry.override({LOCAL: too_long})
    assert registry.resolve(LOCAL) == spec


def test_overrides_outlive_a_registry_that_is_built_anew(settings):
    settings.ANTHROPIC_API_KEY = "k"
    settings.LOCAL_MODEL_URL = "http://127.0.0.1:9"
    conf.set_local_endpoint(None)
    try:
        conf.set_overrides({SONNET: Override(is_off=True)})
        conf.set_local_endpoint(StaticEndpoint("http://127.0.0.1:8"))
        assert SONNET not in [spec.name for spec in conf.get_registry().models()]
    finally:
        conf.set_overrides({})
        conf.set_local_endpoint(None)
