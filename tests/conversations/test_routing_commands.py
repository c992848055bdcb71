"""The commands that explain a routing decision, and judge the router."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from conversations.models import ModelOverride
from llm import conf

pytestmark = pytest.mark.django_db

CODE = "Write a Python function that merges two sorted lists."


@pytest.fixture(autouse=True)
def no_keys(settings: Settings) -> Iterator[None]:
    settings.ANTHROPIC_API_KEY = settings.OPENAI_API_KEY = settings.LOCAL_MODEL_URL = ""
    settings.LOCAL_MODEL = True
    conf.set_local_endpoint(None)
    yield
    conf.set_local_endpoint(None)


def say(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_without_keys_the_model_of_this_machine_is_the_only_one() -> None:
    said = say("route", CODE)
    assert said.startswith("smollm2-135m (fast): only model here. ")


def test_a_decision_is_explained_with_features_score_candidates_and_costs(
    settings: Settings,
) -> None:
    settings.ANTHROPIC_API_KEY = "k"
    said = say("route", CODE)
    assert said.startswith("claude-sonnet-5-5 (smart): code. Code goes to ")
    for line in (
        "code words",
        "score: 1.70, smart from 0.75",
        "  1. claude-sonnet-5-5 ",
        "  2. claude-haiku-5-5 ",
    ):
        assert line in said
    # 16 and 4,096 tokens at two and ten dollars a million.
    assert "$0.040998" in said
    assert "opus" not in said


def test_explaining_all_of_it_says_why_other_models_are_no_candidates() -> None:
    said = say("route", CODE, "--all", "--explain")
    assert "claude-opus-5-5      not in the plan free" in said
    assert "smollm2-135m         local: it answers where no hosted model can" in said
    assert "fences                  0" in said
    assert "  3. " not in said
    chosen = say("route", "hi", "--all", "--explain", "--model", "smollm2-135m")
    assert "claude-haiku-5-5     not preferred, and no fallback" in chosen
    assert "score" not in chosen


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["--plan", "pro"], "2. claude-opus-5-5"),
        (["--model", "claude-haiku-5-5"], "claude-haiku-5-5 (fast): chosen by name"),
        (["--remaining", "500"], "claude-haiku-5-5 (fast): budget nearly used"),
        (["--remaining", "50000", "--limit", "1000000"], "haiku-5-5 (fast): budget nearly used"),
        (["--remaining", "50000"], "claude-sonnet-5-5 (smart): code"),
        (["--context", "999000"], "claude-sonnet-5-5 (smart): code"),
    ],
)
def test_what_is_known_besides_counts(options: list[str], answer: str) -> None:
    assert answer in say("route", CODE, "--all", *options)


def test_a_follow_up_is_one_when_it_is_said_to_be() -> None:
    assert "simple question" in say("route", "and then?", "--all")
    assert "follow-up" in say("route", "and then?", "--all", "--follow-up")


def test_overrides_count() -> None:
    ModelOverride.objects.create(name="claude-sonnet-5-5", is_off=True)
    assert say("route", CODE, "--all", "--plan", "pro").startswith("claude-opus-5-5")


def test_a_text_can_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("word " * 30_000))
    assert "long question" in say("route", "-", "--all")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--model", "gpt-9"], "unknown_model: "),
        (["--model", "claude-opus-5-5"], "model_not_in_plan: "),
    ],
)
def test_a_refusal_is_one_line_with_its_code(options: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        say("route", "hi", "--all", *options)


def test_without_keys_the_router_is_judged_on_both_halves_at_the_prices_of_the_catalogue() -> None:
    said = say("evaluate_routing")
    assert "tuning.jsonl: 152 prompts" in said
    assert "held.jsonl: 152 prompts" in said
    assert said.count("money saved against always smart") == 2
    assert "adversarial" in said


def test_prompts_of_ones_own_are_judged_and_what_went_wrong_is_listed(tmp_path: object) -> None:
    path = f"{tmp_path}/own.jsonl"
    with open(path, "w") as file:
        file.write('{"text": "hi", "label": "fast"}\n{"text": "hello there", "label": "smart"}\n')
    said = say("evaluate_routing", path, "--wrong")
    assert "accuracy 50.0%" in said
    assert "smart -> fast (0.00): hello there" in said
    with pytest.raises(CommandError, match="cannot read"):
        say("evaluate_routing", "/nowhere")


@pytest.mark.parametrize("option", ["--context", "--remaining", "--limit"])
def test_there_are_no_fewer_tokens_than_none(option: str) -> None:
    with pytest.raises(CommandError, match="'-1' is no number of tokens"):
        say("route", "hi", f"{option}=-1")
