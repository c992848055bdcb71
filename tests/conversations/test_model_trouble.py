"""One provider without a key that works takes nothing from the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from pytest_django import Settings

from conversations.eventlog import EventLog
from conversations.models import Generation
from conversations.worker import GenerationWorker
from llm.conf import get_registry, set_local_endpoint
from tests.conversations.conftest import ApiClient
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame, text_of

pytestmark = pytest.mark.django_db(transaction=True)

HAIKU, LOCAL = "claude-haiku-5-5", "smollm2-135m"


@pytest.fixture
def denying() -> Iterator[ScriptedProvider]:
    """A second provider, which knows no key."""
    with ScriptedProvider() as denying:
        denying.script(status=401, error_type="authentication_error")
        yield denying


@pytest.fixture
async def models(
    provider: ScriptedProvider, denying: ScriptedProvider, settings: Settings
) -> AsyncIterator[None]:
    settings.ANTHROPIC_API_KEY = "wrong"
    settings.ANTHROPIC_BASE_URL = denying.url
    settings.LOCAL_MODEL_URL, settings.LOCAL_MODEL_API_KEY = provider.url, "scripted"
    set_local_endpoint(None)
    yield
    await get_registry().aclose()
    set_local_endpoint(None)


async def answer(api: ApiClient, **body: str) -> list[Frame]:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    return [frame async for frame in api.stream("post", path, {"content": "Hi", **body})]


async def test_a_wrong_key_fails_its_own_models_with_a_typed_error_and_no_others(
    api: ApiClient,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    denying: ScriptedProvider,
    event_log: EventLog,
) -> None:
    provider.script(text="Still here")
    for model in (HAIKU, "auto"):
        failed = (await answer(api, model=model))[-1]
        assert failed.event == "failed"
        assert failed.data["error"]["code"] == "provider_authentication_failed"
        assert "wrong" not in str(failed.data)
    whole = await answer(api, model=LOCAL)
    assert whole[-1].event == "done"
    assert text_of(whole) == "Still here"
    # The key of one provider is never shown to another.
    assert {request["api_key"] for request in provider.requests()} == {"scripted"}
    assert {request["api_key"] for request in denying.requests()} == {"wrong"}


async def test_a_missing_key_leaves_the_other_models_and_auto(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider, settings: Settings
) -> None:
    settings.ANTHROPIC_API_KEY = ""
    set_local_endpoint(None)
    listed = (await api.call("get", "/models")).json()
    assert [item["name"] for item in listed["items"]] == [LOCAL]
    assert listed["default"] == LOCAL
    refused = await api.call("post", "/conversations", {"model": HAIKU})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unknown_model")
    whole = await answer(api)
    assert (whole[-1].event, whole[-1].data["message"]["model"]) == ("done", LOCAL)
    assert whole[-1].data["message"]["routeReason"] == "only model here"
    assert await Generation.objects.acount() == 1
