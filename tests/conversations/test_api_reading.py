"""Reading an answer: leaving, resuming, stopping, and what is left when the log is gone."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from conversations import reading
from conversations.eventlog import EventLog
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient, key_of
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame, text_of

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_reader_that_leaves_and_resumes_gets_exactly_the_rest(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": [f"{n} " for n in range(12)], "hold_after": 5})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if text_of(seen).startswith("0 1 2 "):
                break
    generation = seen[0].data["generationId"]
    provider.release()

    last = {"Last-Event-ID": seen[-1].id}
    events = f"/generations/{generation}/events"
    rest = [frame async for frame in api.stream("get", events, **last)]
    assert text_of(seen + rest) == "".join(f"{n} " for n in range(12))
    assert rest[-1].event == "done"
    assert all(frame.event != "snapshot" for frame in rest)


async def test_an_answer_finishes_though_nobody_listens(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"text": "Nobody heard this", "hold_after": 1})
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Anyone?"})) as frames:
        started = await anext(frames)
    provider.release()
    events = f"/generations/{started.data['generationId']}/events"
    frames_later = [frame async for frame in api.stream("get", events)]
    assert text_of(frames_later) == "Nobody heard this"
    assert (await api.read(conversation))["messages"][1]["content"] == "Nobody heard this"


async def test_a_resume_at_the_end_has_nothing_more(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    events = f"/generations/{frames[0].data['generationId']}/events"
    response = await api.call("get", events, **{"Last-Event-ID": frames[-1].id})
    assert response.status_code == 204


async def test_after_the_log_is_gone_a_reader_gets_a_snapshot_and_the_end(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(text="Kept for long")
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    await event_log.delete(key_of(conversation, frames))
    events = f"/generations/{frames[0].data['generationId']}/events"
    for after in (None, frames[1].id):
        headers = {"Last-Event-ID": after} if after else {}
        again = [frame async for frame in api.stream("get", events, **headers)]
        assert [frame.event for frame in again] == ["snapshot", "done"]
        assert text_of(again) == "Kept for long"
        assert again[-1].id == frames[-1].id


async def test_a_log_lost_mid_answer_goes_on_with_a_snapshot(
    api: ApiClient, worker: GenerationWorker, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two ", "three ", "four"], "hold_after": 2})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if text_of(seen) == "one two ":
                break
    await event_log.delete(key_of(conversation, seen))
    provider.release()
    events = f"/generations/{seen[0].data['generationId']}/events"
    rest = [f async for f in api.stream("get", events, **{"Last-Event-ID": seen[-1].id})]
    assert text_of(seen + rest) == "one two three four"
    assert rest[-1].event == "done"
    assert rest[-1].id.startswith("2-")


async def test_stop_keeps_the_text_so_far_and_closes_the_provider(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two ", "three "], "hold_after": 2})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if text_of(seen) == "one two " and frame.event == "delta":
                generation = seen[0].data["generationId"]
                response = await api.call("post", f"/generations/{generation}/stop")
                assert response.status_code == 202
    assert seen[-1].event == "stopped"
    assert seen[-1].data["message"]["content"] == "one two "
    assert seen[-1].data["message"]["status"] == "stopped"
    provider.wait_until_closed()


async def test_a_stop_that_is_heard_twice_is_one_stop(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two "], "hold_after": 1})
    conversation = await api.new_conversation()
    seen: list[Frame] = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if frame.event == "delta":
                (run,) = worker._runs.values()
                run.stop()
                # The first one is being carried out: it closes the provider's stream.
                await asyncio.sleep(0)
                run.stop()
    assert seen[-1].event == "stopped"
    assert text_of(seen) == "one "


async def test_a_queued_answer_can_be_stopped(
    api: ApiClient, models: None, event_log: object
) -> None:
    conversation = await api.new_conversation()
    reference = await api.enqueue(conversation, "Never mind")
    await api.call("post", f"/generations/{reference['generationId']}/stop")
    events = f"/generations/{reference['generationId']}/events"
    frames = [frame async for frame in api.stream("get", events)]
    assert [frame.event for frame in frames] == ["snapshot", "stopped"]


async def test_a_reader_of_a_deleted_conversation_comes_to_an_end(
    api: ApiClient,
    worker: GenerationWorker,
    event_log: EventLog,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It learns of the end when it next asks the database.
    monkeypatch.setattr(reading, "IDLE_S", 0.05)
    monkeypatch.setattr(reading, "CHECK_S", 0.1)
    provider.script({"chunks": ["one ", "two "], "hold_after": 1})
    conversation = await api.new_conversation()
    seen = []
    path = f"/conversations/{conversation}/messages"
    async with aclosing(api.stream("post", path, {"content": "Count"})) as frames:
        async for frame in frames:
            seen.append(frame)
            if frame.event == "delta":
                await api.call("delete", f"/conversations/{conversation}")
    assert seen[-1].event == "delta"
    provider.wait_until_closed()
    assert not await event_log.read(key_of(conversation, seen))
    events = f"/generations/{seen[0].data['generationId']}/events"
    assert (await api.call("get", events)).status_code == 404
