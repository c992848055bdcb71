"""The WebSocket door: the same turns, the same events, the same errors."""

from __future__ import annotations

from typing import Any

import pytest
from channels.layers import get_channel_layer
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.core.channel_layer import MOST_WAITING, PatientChannelLayer
from chatbot.core.stores import DATABASE
from conversations import reading
from conversations.eventlog import EventLog, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import START, Cursor, Event
from conversations.notices import notify
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.conversations.sockets import open_socket, text_of
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_answer_streams_over_the_socket(
    api: ApiClient, token: str, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(text="Over the socket")
    conversation = await api.new_conversation()
    async with open_socket(token) as socket:
        await socket.send(type="send", conversationId=conversation, content="Hi", clientId="c1")
        accepted = await socket.receive("accepted")
        assert accepted["clientId"] == "c1"
        frames = await socket.read_answer()
    assert text_of(frames) == "Over the socket"
    assert {frame["generationId"] for frame in frames} == {accepted["generationId"]}
    kept = (await api.read(conversation))["messages"][1]
    assert kept == {**frames[-1]["message"], "siblings": []}


async def test_a_repeated_send_follows_the_first_answer(
    api: ApiClient, token: str, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    async with open_socket(token) as socket:
        for _ in range(2):
            await socket.send(type="send", conversationId=conversation, content="Hi", clientId="c1")
            await socket.read_answer()
    assert len(provider.requests()) == 1


async def test_resume_gives_exactly_the_rest(
    api: ApiClient, token: str, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": [f"{n} " for n in range(9)], "hold_after": 4})
    conversation = await api.new_conversation()
    seen: list[dict[str, Any]] = []
    async with open_socket(token) as socket:
        await socket.send(type="send", conversationId=conversation, content="Count")
        while text_of(seen) != "0 1 2 3 ":
            seen.append(await socket.receive("started", "delta"))
    provider.release()
    async with open_socket(token) as socket:
        generation = seen[0]["generationId"]
        await socket.send(type="resume", generationId=generation, after=seen[-1]["id"])
        rest = await socket.read_answer()
    assert text_of(seen + rest) == "".join(f"{n} " for n in range(9))


async def test_a_resume_at_the_end_is_told_that_there_is_nothing_more(
    api: ApiClient, token: str, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    generation, end = frames[0].data["generationId"], frames[-1].id
    async with open_socket(token) as socket:
        await socket.send(type="resume", generationId=generation, after=end)
        assert await socket.receive() == {"type": "over", "generationId": generation}
    path = f"/generations/{generation}/events"
    response = await api.call("get", path, **{"Last-Event-ID": end})
    assert response.status_code == 204


async def test_one_who_follows_what_is_deleted_is_told_that_it_is_over(
    api: ApiClient, token: str, event_log: EventLog, models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHECK_S", 0.05)
    conversation = await api.new_conversation()
    generation = (await api.enqueue(conversation, "Hi"))["generationId"]
    async with open_socket(token) as socket:
        await socket.send(type="resume", generationId=generation)
        await socket.send(type="ping")
        await socket.receive("pong")
        await api.call("delete", f"/conversations/{conversation}")
        assert (await socket.receive("over", "error")) == {
            "type": "over",
            "generationId": generation,
        }


class ForgetfulLog(MemoryEventLog):
    """Has nothing; when it is asked, the database stops answering."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        self._settings.DATABASE_TIMEOUT_S = 0
        return []


async def test_one_whose_answer_cannot_be_read_to_its_end_is_told_to_come_again(
    api: ApiClient,
    token: str,
    worker: GenerationWorker,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = await api.send(await api.new_conversation(), "Hi")
    generation, patience_s = frames[0].data["generationId"], settings.DATABASE_TIMEOUT_S
    forgetful = ForgetfulLog(settings)
    monkeypatch.setattr(reading, "get_event_log", lambda: forgetful)
    async with open_socket(token) as socket:
        await socket.send(type="resume", generationId=generation)
        refused = await socket.receive()
        assert (refused["type"], refused["generationId"]) == ("error", generation)
        assert refused["error"]["code"] == "unavailable"
        assert refused["error"]["retryAfter"] >= 1
        settings.DATABASE_TIMEOUT_S = patience_s
        monkeypatch.undo()
        DATABASE.note_answer()
        await socket.send(type="resume", generationId=generation)
        assert (await socket.read_answer())[-1]["type"] == "done"


class BrokenLog(MemoryEventLog):
    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        raise ValueError("what nobody foresaw")


async def test_one_whose_reading_fails_is_told_so(
    api: ApiClient,
    token: str,
    worker: GenerationWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    frames = await api.send(await api.new_conversation(), "Hi")
    generation, broken = frames[0].data["generationId"], BrokenLog()
    monkeypatch.setattr(reading, "get_event_log", lambda: broken)
    async with open_socket(token) as socket:
        await socket.send(type="resume", generationId=generation)
        refused = await socket.receive()
        assert (refused["type"], refused["generationId"]) == ("error", generation)
        assert refused["error"]["code"] == "internal_error"
    assert "what nobody foresaw" in caplog.text


async def test_stop_is_heard_while_an_answer_streams(
    api: ApiClient, token: str, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["one ", "two "], "hold_after": 1})
    conversation = await api.new_conversation()
    async with open_socket(token) as socket:
        await socket.send(type="send", conversationId=conversation, content="Count")
        delta = await socket.receive("delta")
        await socket.send(type="stop", generationId=delta["generationId"])
        frames = await socket.read_answer()
    assert frames[-1]["type"] == "stopped"
    assert frames[-1]["message"]["content"] == "one "


async def test_regenerate_works_over_the_socket(
    api: ApiClient, token: str, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"text": "first"}, {"text": "second"})
    conversation = await api.new_conversation()
    await api.send(conversation, "Hi")
    async with open_socket(token) as socket:
        await socket.send(type="regenerate", conversationId=conversation, seq=2)
        assert text_of(await socket.read_answer()) == "second"


async def test_another_device_hears_of_a_new_answer(
    api: ApiClient, token: str, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    async with open_socket(token) as socket:
        frames = await api.send(conversation, "From the phone")
        notice = await socket.receive("generation.started")
        assert notice["conversationId"] == conversation
        assert notice["generationId"] == frames[0].data["generationId"]
        await api.call("patch", f"/conversations/{conversation}", {"pinned": True})
        assert (await socket.receive("conversation.updated"))["conversationId"] == conversation


async def test_a_device_that_did_not_take_its_notices_hears_that_it_missed_some(
    user: User, token: str
) -> None:
    layer = get_channel_layer()
    assert isinstance(layer, PatientChannelLayer)
    async with open_socket(token) as socket:
        (waiting,) = layer.channels.values()
        for number in range(MOST_WAITING + 1):
            frame = {"type": "conversation.updated", "conversationId": str(number)}
            waiting.put_nowait(layer.serialize({"type": "notice", "frame": frame}))
        assert await socket.receive() == {"type": "notices.missed"}
        await notify(user.pk, "conversation.updated", conversationId="next")
        assert (await socket.receive("conversation.updated"))["conversationId"] == "next"
