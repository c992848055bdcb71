from __future__ import annotations

from collections.abc import Iterator

import pytest

from llm import conf
from llm.registry import StaticEndpoint


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    conf.set_local_endpoint(None)
    yield
    conf.set_local_endpoint(None)


def test_settings_decide_which_models_there_are(settings):
    settings.ANTHROPIC_API_KEY = "k"
    settings.LOCAL_MODEL_URL = "http://127.0.0.1:9"
    registry = conf.get_registry()
    assert registry.default.name == "claude-sonnet-5-5"
    assert registry.resolve("smollm2-135m").is_local
    assert conf.get_registry() is registry


def test_without_settings_there_is_no_model(settings):
    settings.ANTHROPIC_API_KEY = ""
    settings.LOCAL_MODEL_URL = ""
    assert conf.get_registry().models() == ()


def test_a_server_that_this_process_runs_takes_the_place_of_the_configured_one(settings):
    settings.ANTHROPIC_API_KEY = ""
    settings.LOCAL_MODEL_URL = ""
    conf.get_registry()
    conf.set_local_endpoint(StaticEndpoint("http://127.0.0.1:9"))
    assert conf.get_registry().default.name == "smollm2-135m"
