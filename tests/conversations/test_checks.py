"""What keeps moderation from asking one judge is told before anything starts."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from chatbot.asgi import application
from conversations.checks import check_judge
from llm.conf import set_local_endpoint
from tests.conversations.memories import WRITER


@pytest.fixture
def settings_of_judge(settings: Settings) -> Settings:
    settings.MODELS_FILE = settings.MODERATION_JUDGE_URL = ""
    settings.ANTHROPIC_API_KEY = "k"
    settings.MODERATION_JUDGE_MODEL = WRITER
    return settings


def found() -> list[tuple[str | None, str]]:
    return [(message.id, str(message.msg)) for message in check_judge()]


def test_a_model_of_the_catalogue_is_a_judge(settings_of_judge: Settings) -> None:
    assert found() == []


def test_two_judges_are_an_error(settings_of_judge: Settings) -> None:
    settings_of_judge.MODERATION_JUDGE_URL = "http://127.0.0.1:9/v1/moderations"
    both = "Set MODERATION_JUDGE_URL or MODERATION_JUDGE_MODEL, not both: one judge is asked."
    assert found() == [("conversations.E002", both)]


@pytest.mark.parametrize("name", ["claude-nobody", "auto"])
def test_a_name_that_the_catalogue_lacks_is_an_error(
    settings_of_judge: Settings, name: str
) -> None:
    settings_of_judge.MODERATION_JUDGE_MODEL = name
    ((code, said),) = found()
    assert code == "conversations.E003"
    assert f"no model {name}." in said
    assert WRITER in said


def test_a_model_without_a_key_is_told_of(settings_of_judge: Settings) -> None:
    settings_of_judge.ANTHROPIC_API_KEY = ""
    ((code, said),) = found()
    assert code == "conversations.W001"
    assert f"{WRITER} cannot be asked here" in said


def test_of_a_catalogue_with_faults_another_check_tells(settings_of_judge: Settings) -> None:
    settings_of_judge.MODELS_FILE = "/nowhere/models.toml"
    assert found() == []


async def test_a_web_process_does_not_start_with_an_error(settings_of_judge: Settings) -> None:
    settings_of_judge.MODERATION_JUDGE_MODEL = "claude-nobody"
    set_local_endpoint(None)
    serve: Any = application
    sent: list[dict[str, str]] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(event: dict[str, str]) -> None:
        sent.append(event)

    await serve({"type": "lifespan"}, receive, send)
    set_local_endpoint(None)
    (event,) = sent
    assert event["type"] == "lifespan.startup.failed"
    assert event["message"].startswith("MODERATION_JUDGE_MODEL: ")
