"""What the real local model had read for one turn it does not read again for the next."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from tests.live import ServeProcess, client_for

pytestmark = [
    pytest.mark.process,
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

# Longer than what every conversation begins with: the server leaves one that is hardly longer to the
# next that begins in the same way.
QUESTIONS = (
    "My name is Aurelia, and I keep bees on the roof of a house by the river. In summer I sit there "
    "in the evening and watch them come home, one by one. Say hello in one short sentence.",
    "What do bees eat? One short sentence.",
    "And in winter? One short sentence.",
    "What is my name? One short sentence.",
)
OTHERS = (
    "Rivers begin as springs in the mountains, grow as others join them, turn mills and carry boats, "
    "and end in the sea, often after weeks. Where do they begin? One short sentence.",
    "And where do they end? One short sentence.",
    "Are they salty? One short sentence.",
    "Name one river. One short sentence.",
)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    models = tmp_path_factory.mktemp("catalogue") / "models.toml"
    models.write_text(BRIEF_MODEL)
    environment = {
        "MODELS_FILE": str(models),
        "ANTHROPIC_API_KEY": "",
        "LOCAL_MODEL_URL": "",
        # Short answers come faster than people read them.
        "FREE_SENDS_PER_MINUTE": "1000",
    }
    with ServeProcess(environment) as server, client_for(server, "ada@example.org") as client:
        yield client


# The same model in a narrow window, and brief: thirty turns are soon said.
BRIEF = "brief"
BRIEF_MODEL = f"""
[[model]]
name = "{BRIEF}"
display_name = "Brief"
provider = "local"
model_id = "smollm2-135m"
tier = "fast"
context_window = 1_536
max_output = 48
answer_tokens = 48
continuation = "prefill"
caches_prompts = true
takes_notes = false
free = true
"""
TOPICS = (
    *("bees", "honey", "winter", "rivers", "boats", "the sea", "salt", "bread", "mills", "wind"),
    *("birds", "nests", "trees", "leaves", "autumn", "rain", "clouds", "the moon", "tides", "fish"),
    *("nets", "ropes", "sails", "maps", "stars", "night", "owls", "mice", "cats", "sleep"),
)


def new_conversation(person: httpx2.Client) -> str:
    return str(person.post("/conversations", json={}).json()["conversationId"])


def ask(person: httpx2.Client, conversation: str, question: str) -> dict[str, int]:
    """Send a message, read its answer to the end, and return its usage."""
    path = f"/conversations/{conversation}/messages"
    with person.stream("POST", path, json={"content": question}) as response:
        assert response.status_code == 200
        kind = ""
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "done":
                done: dict[str, Any] = json.loads(value)
                usage: dict[str, int] = done["usage"]
                return usage
    raise AssertionError(f"The answer ended with {kind}.")


def prompt_of(usage: dict[str, int]) -> int:
    return usage["inputTokens"] + usage["cachedTokens"]


def test_each_turn_reads_the_whole_prompt_of_the_one_before_from_the_cache(
    person: httpx2.Client,
) -> None:
    conversation = new_conversation(person)
    usages = [ask(person, conversation, question) for question in QUESTIONS]
    assert prompt_of(usages[0]) > 20
    for before, after in pairwise(usages):
        assert after["cachedTokens"] >= prompt_of(before)
        assert prompt_of(after) > prompt_of(before)


def test_a_conversation_in_between_changes_nothing(person: httpx2.Client) -> None:
    mine, other = new_conversation(person), new_conversation(person)
    turns: dict[str, list[dict[str, int]]] = {mine: [], other: []}
    for questions in zip(QUESTIONS, OTHERS, strict=True):
        for conversation, question in zip((mine, other), questions, strict=True):
            turns[conversation].append(ask(person, conversation, question))
    for usages in turns.values():
        for before, after in pairwise(usages):
            assert after["cachedTokens"] >= prompt_of(before)


def test_thirty_turns_read_four_fifths_of_their_input_from_the_cache(
    person: httpx2.Client,
) -> None:
    """Although turns are left out on the way: the window is a fifth of what the model has."""
    conversation = str(
        person.post("/conversations", json={"model": BRIEF}).json()["conversationId"]
    )
    usages = [ask(person, conversation, QUESTIONS[0])]
    for topic in TOPICS:
        usages.append(ask(person, conversation, f"Tell me of {topic} in one short sentence."))
    read, total = sum(usage["cachedTokens"] for usage in usages), sum(map(prompt_of, usages))
    steps = sum(prompt_of(after) < prompt_of(before) for before, after in pairwise(usages))
    share = read / total
    # Shown by `pytest -rP`.
    told = f"{read:,} of {total:,} tokens were read from the cache: {share:.1%}"
    sys.stdout.write(f"{told}; turns were left out {steps} times\n")
    assert steps
    assert share >= 0.8
