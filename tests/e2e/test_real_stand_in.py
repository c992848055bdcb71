"""The real local model takes up what a hosted one began."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.provider_process import ScriptedProvider
from tests.live import ServeProcess, client_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.model,
    pytest.mark.timeout(300),
]

BEGUN = ["The ", "capital ", "of ", "France ", "is "]
MODELS = """
[[endpoint]]
name = "hosted"
protocol = "anthropic"
base_url = "{url}"

[[model]]
name = "hosted"
display_name = "Hosted"
provider = "hosted"
model_id = "hosted"
tier = "smart"
context_window = 8_192
max_output = 1_024
answer_tokens = 64
continuation = "user_turn"
fallbacks = ["smollm2-135m"]
free = true
"""


def test_the_local_model_goes_on_from_the_word_where_a_hosted_one_broke_off(tmp_path: Path):
    models = tmp_path / "models.toml"
    with ScriptedProvider() as provider:
        provider.script(chunks=BEGUN, error_event_after=len(BEGUN))
        models.write_text(MODELS.format(url=provider.url))
        environment = {
            "ANTHROPIC_API_KEY": "",
            "LOCAL_MODEL_URL": "",
            "MODELS_FILE": str(models),
        }
        with ServeProcess(environment) as server, client_for(server, "ada@example.org") as person:
            conversation = person.post("/conversations", json={"model": "hosted"}).json()
            path = f"/conversations/{conversation['conversationId']}/messages"
            question = {"content": "What is the capital of France? One short sentence."}
            with person.stream("POST", path, json=question) as response:
                lines = list(response.iter_lines())
    events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    models_told = [data["model"] for data in told if "attempt" in data]
    assert models_told == ["hosted", "smollm2-135m"]
    snapshot = told[events.index("snapshot")]
    assert snapshot["text"] == "".join(BEGUN)
    assert events[-1] == "done"
    message = told[-1]["message"]
    assert message["content"].startswith("The capital of France is Paris")
    assert message["model"] == "smollm2-135m"
