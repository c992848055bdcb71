"""Answers that lose their worker, their provider or their log, and what their readers see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from chatbot.accounts.models import LedgerEntry
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations import worker as worker_module
from conversations.eventlog import EventLog
from conversations.models import Generation, State
from conversations.worker import GenerationWorker
from llm.conf import get_registry, set_local_endpoint, set_overrides
from llm.overrides import Override
from tests.conversations.conftest import ApiClient
from tests.conversations.logs import find_key
from tests.conversations.workers import working
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame, text_of

pytestmark = pytest.mark.django_db(transaction=True)


RESTARTING = """
[[endpoint]]
name = "scripted"
protocol = "anthropic"
base_url = "{url}"

[[model]]
name = "restarting"
display_name = "Restarting"
provider = "scripted"
model_id = "restarting"
tier = "fast"
context_window = 8192
max_output = 1024
answer_tokens = 512
continuation = "restart"
free = true
"""


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "POLL_S", 0.05)


@pytest.fixture
async def hosted(provider: ScriptedProvider, settings: Settings) -> AsyncIterator[None]:
    """Make the scripted provider a hosted one, whose models refuse to go on from a started turn."""
    settings.ANTHROPIC_API_KEY = "scripted"
    settings.ANTHROPIC_BASE_URL = provider.url
    settings.LOCAL_MODEL_URL = ""
    set_local_endpoint(None)
    yield
    await get_registry().aclose()
    set_local_endpoint(None)


@pytest.fixture
async def restarting(
    provider: ScriptedProvider, settings: Settings, tmp_path: Path
) -> AsyncIterator[None]:
    """Let the scripted provider serve a model that cannot go on from a started answer."""
    models = tmp_path / "models.toml"
    models.write_text(RESTARTING.format(url=provider.url))
    settings.MODELS_FILE = str(models)
    set_local_endpoint(None)
    yield
    await get_registry().aclose()
    set_local_endpoint(None)


class Crashed(GenerationWorker):
    """A worker that ends as a killed process does: without handing anything over."""

    async def crash(self) -> None:
        self._is_draining = True
        for task in tuple(self._runs):
            task.cancel()
        self._is_drained.set()
        self._wake.set()


async def read_until_text(api: ApiClient, conversation: str, wanted: str) -> list[Frame]:
    seen: list[Frame] = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Hi"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if text_of(seen) == wanted:
                return seen
    raise AssertionError(f"the stream ended with {text_of(seen)!r}")


async def lose_worker(api: ApiClient, log: EventLog, conversation: str, shown: str) -> list[Frame]:
    """Let a worker die once a reader has seen so much, and its lease lapse."""
    dying = Crashed(owner="dying", concurrency=1, log=log)
    task = spawn(dying.run(), name="dying worker")
    seen = await read_until_text(api, conversation, shown)
    await dying.crash()
    await task
    lapsed = Now() - timedelta(seconds=1)
    await db_call(Generation.objects.all().update, lease_until=lapsed)
    return seen


async def read_rest(api: ApiClient, seen: list[Frame]) -> list[Frame]:
    events = f"/generations/{seen[0].data['generationId']}/events"
    headers = {"Last-Event-ID": seen[-1].id}
    return [frame async for frame in api.stream("get", events, **headers)]


async def test_a_model_that_can_goes_on_where_its_worker_died(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(
        {"chunks": ["one ", "two "], "hold_after": 1}, {"chunks": ["one ", "three ", "four"]}
    )
    conversation = await api.new_conversation()
    seen = await lose_worker(api, event_log, conversation, "one ")
    async with working(event_log, "fresh"):
        rest = await read_rest(api, seen)
    assert [frame.event for frame in rest[:2]] == ["started", "snapshot"]
    assert rest[1].data["text"] == "one "
    assert text_of(seen + rest) == "one three four"
    assert (await api.read(conversation))["messages"][1]["content"] == "one three four"
    asked = provider.requests()[1]["body"]["messages"]
    assert asked[-1] == {"role": "assistant", "content": "one"}


async def test_a_model_that_refuses_its_own_turn_goes_on_at_a_users(
    api: ApiClient, hosted: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(
        {"chunks": ["one ", "two "], "hold_after": 1}, {"chunks": ["one ", "three ", "four"]}
    )
    conversation = await api.new_conversation()
    seen = await lose_worker(api, event_log, conversation, "one ")
    async with working(event_log, "fresh"):
        rest = await read_rest(api, seen)
    assert text_of(seen + rest) == "one three four"
    asked = provider.requests()[1]["body"]["messages"]
    assert [turn["role"] for turn in asked[-3:]] == ["user", "assistant", "user"]


async def test_a_model_that_cannot_go_on_begins_anew_after_an_empty_snapshot(
    api: ApiClient, restarting: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two "], "hold_after": 1}, {"chunks": ["all ", "anew"]})
    conversation = await api.new_conversation(model="restarting")
    seen = await lose_worker(api, event_log, conversation, "one ")
    async with working(event_log, "fresh"):
        rest = await read_rest(api, seen)
    assert rest[1].data["text"] == ""
    assert text_of(seen + rest) == "all anew"
    assert provider.requests()[1]["body"]["messages"][-1]["role"] == "user"


async def test_an_answer_that_was_whole_when_its_worker_died_is_not_asked_for_more(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["all of it"], "hold_after": 1}, {"chunks": ["all of it"]})
    conversation = await api.new_conversation()
    seen = await lose_worker(api, event_log, conversation, "all of it")
    async with working(event_log, "fresh"):
        rest = await read_rest(api, seen)
    assert rest[-1].event == "done"
    assert text_of(seen + rest) == "all of it"


async def test_an_answer_that_no_model_is_left_to_go_on_with_keeps_its_text(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two "], "hold_after": 1})
    conversation = await api.new_conversation()
    seen = await lose_worker(api, event_log, conversation, "one ")
    set_overrides({spec.name: Override(is_off=True) for spec in get_registry().models()})
    try:
        async with working(event_log, "fresh"):
            rest = await read_rest(api, seen)
    finally:
        set_overrides({})
    assert (rest[-1].event, text_of(rest)) == ("failed", "one ")
    assert (await api.read(conversation))["messages"][-1]["content"] == "one "
    assert (await db_call(LedgerEntry.objects.get)).ending == "lost"


async def test_a_stop_that_no_worker_heard_keeps_the_text(
    api: ApiClient, hosted: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two "], "hold_after": 1})
    conversation = await api.new_conversation()
    seen = await lose_worker(api, event_log, conversation, "one ")
    await api.call("post", f"/generations/{seen[0].data['generationId']}/stop")
    async with working(event_log, "fresh"):
        rest = await read_rest(api, seen)
    assert rest[-1].event == "stopped"
    assert text_of(seen + rest) == "one "
    assert len(provider.requests()) == 1


async def test_both_calls_of_an_answer_that_was_taken_over_are_counted(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    last = {"chunks": ["one ", "three"], "input_tokens": 50}
    provider.script({"chunks": ["one ", "two "], "hold_after": 1}, last)
    conversation = await api.new_conversation()
    seen = await lose_worker(api, event_log, conversation, "one ")
    async with working(event_log, "fresh"):
        await read_rest(api, seen)
    generation = await db_call(Generation.objects.get)
    assert generation.input_tokens > 50
    assert generation.output_tokens > 1


@pytest.mark.parametrize(
    "fault",
    [
        {"cut_after": 2},
        {"end_after": 2},
        {"malformed_after": 2},
        {"error_event_after": 2},
    ],
    ids=lambda fault: next(iter(fault)),
)
async def test_an_answer_that_breaks_off_is_taken_up_again(
    api: ApiClient,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    fault: dict[str, int],
) -> None:
    first = {"chunks": ["one ", "two ", "three "], **fault}
    provider.script(first, {"chunks": ["one ", "two ", "three ", "four"]})
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    assert frames[-1].event == "done"
    assert text_of(frames) == "one two three four"
    # Its readers saw a pause and nothing else.
    assert {frame.event for frame in frames} == {"started", "delta", "done"}
    generation = await db_call(Generation.objects.get)
    assert (generation.state, generation.attempt) == (State.COMPLETED, 1)


async def test_an_answer_of_a_model_that_cannot_go_on_is_replaced_as_a_whole(
    api: ApiClient, restarting: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two "], "cut_after": 1}, {"chunks": ["all ", "anew"]})
    conversation = await api.new_conversation(model="restarting")
    async with working(event_log, "only"):
        frames = await api.send(conversation, "Hi")
    assert [frame.data["text"] for frame in frames if frame.event == "snapshot"] == [""]
    assert text_of(frames) == "all anew"


async def test_another_model_takes_up_a_word_that_was_cut_in_two(
    api: ApiClient, hosted: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    whole = ["one tw", "o three"]
    provider.script(
        {"chunks": whole, "cut_after": 1}, {"chunks": whole, "status": 529}, {"chunks": whole}
    )
    conversation = await api.new_conversation(model="claude-haiku-5-5")
    async with working(event_log, "only"):
        frames = await api.send(conversation, "Hi")
    assert [frame.data["text"] for frame in frames if frame.event == "snapshot"] == ["one "]
    assert text_of(frames) == "one two three"
    models = [frame.data["model"] for frame in frames if frame.event == "started"]
    assert models == ["claude-haiku-5-5", "claude-sonnet-5-5"]
    generation = await db_call(Generation.objects.get)
    assert (generation.model, generation.attempt) == ("claude-sonnet-5-5", 2)


async def test_a_log_that_is_lost_mid_answer_is_told_again_in_a_further_attempt(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two ", "three"], "hold_after": 1})
    conversation = await api.new_conversation()
    seen = await read_until_text(api, conversation, "one ")
    await event_log.delete(await db_call(find_key, seen[0].data["generationId"]))
    provider.release()
    rest = await read_rest(api, seen)
    assert rest[-1].event == "done"
    assert text_of(seen + rest) == "one two three"
    assert (await db_call(Generation.objects.get)).attempt >= 2


async def test_an_answer_whose_log_is_lost_at_its_end_is_told_from_the_database(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    provider.script({"text": "short and whole"})
    frames = await api.send(conversation, "Hi")
    await event_log.delete(await db_call(find_key, frames[0].data["generationId"]))
    rest = await read_rest(api, frames[:2])
    assert [frame.event for frame in rest] == ["snapshot", "done"]
    assert text_of(rest) == "short and whole"
