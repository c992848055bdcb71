from __future__ import annotations

from collections.abc import Iterator

import pytest

from conversations.checks import check_catalog
from llm import conf
from llm.registry import StaticEndpoint

SERVER = """
[[endpoint]]
name = "vllm"
protocol = "openai"
base_url = "http://127.0.0.1:9/v1"
key_setting = "VLLM_KEY"
"""
OPENAI_MODEL = """
[[model]]
name = "gpt"
display_name = "G"
provider = "openai"
model_id = "g"
tier = "fast"
continuation = "restart"
context_window = 100
max_output = 50
answer_tokens = 10
free = true
"""


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


def test_a_missing_key_takes_only_its_own_models_away(settings, tmp_path):
    more = tmp_path / "models.toml"
    more.write_text(OPENAI_MODEL)
    settings.MODELS_FILE = str(more)
    settings.ANTHROPIC_API_KEY = ""
    settings.OPENAI_API_KEY = "k"
    settings.LOCAL_MODEL_URL = "http://127.0.0.1:9"
    assert {spec.name for spec in conf.get_registry().models()} == {"smollm2-135m", "gpt"}


def test_a_key_of_a_further_endpoint_may_be_in_the_environment(settings, tmp_path, monkeypatch):
    more = tmp_path / "models.toml"
    more.write_text(SERVER + OPENAI_MODEL.replace('"openai"', '"vllm"'))
    settings.MODELS_FILE = str(more)
    settings.ANTHROPIC_API_KEY = settings.LOCAL_MODEL_URL = ""
    assert conf.get_registry().models() == ()
    conf.set_local_endpoint(None)
    monkeypatch.setenv("VLLM_KEY", "k")
    assert [spec.name for spec in conf.get_registry().models()] == ["gpt"]


def test_every_fault_of_the_catalogue_is_a_line_at_the_start(settings, tmp_path):
    more = tmp_path / "models.toml"
    priceless = OPENAI_MODEL.replace("free = true", "")
    more.write_text(priceless + OPENAI_MODEL.replace('"fast"', '"quick"'))
    settings.MODELS_FILE = str(more)
    said = [str(message.msg) for message in check_catalog()]
    assert said == [
        "Models: model 'gpt': has no price; give one, or say free = true",
        "Models: model 'gpt': tier must be one of fast, smart",
    ]
