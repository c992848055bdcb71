"""The WebSocket door: the same turns, the same events, the same errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.asgi import application
from chatbot.core.channel_layer import MOST_WAITING, PatientChannelLayer
from chatbot.core.db import db_call
from chatbot.core.stores import DATABASE
from conversations import consumers, reading
from conversations.eventlog import EventLog, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import START, Cursor, Event
from conversations.models import Generation
from conversations.notices import notify
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.factories import make_person
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)

TERMINAL = {"done", "stopped", "halted", "failed"}
# A wait without end is longer than this, on the busiest machine.
PATIENCE_S = 30


class Socket:
    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self._communicator = communicator

    async def send(self, **frame: Any) -> None:
        await self._communicator.send_to(text_data=json.dumps(frame))

    async def send_raw(self, text: str) -> None:
        await self._communicator.send_to(text_data=text)

    async def receive(self, *kinds: str) -> dict[str, Any]:
        """Return the next frame of one of these types; others are passed over."""
        while True:
            frame: dict[str, Any] = json.loads(
                await self._communicator.receive_from(timeout=PATIENCE_S)
            )
            if not kinds or frame["type"] in kinds:
                return frame

    async def closed(self) -> int:
        """Return the code that the server closed this socket with; pings are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            output = await self._communicator.receive_output(timeout=PATIENCE_S)
            while output.get("text") == '{"type":"ping"}':
                output = await self._communicator.receive_output(timeout=PATIENCE_S)
        assert output["type"] == "websocket.close"
        return int(output["code"])

    async def read_answer(self) -> list[dict[str, Any]]:
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1]["type"] not in TERMINAL:
            frames.append(await self.receive("started", "delta", "snapshot", *TERMINAL))
        return frames


@asynccontextmanager
async def open_socket(token: str | None) -> AsyncIterator[Socket]:
    headers = [(b"origin", b"http://testserver"), (b"host", b"testserver")]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    communicator = WebsocketCommunicator(application, "/ws/chat/", headers=headers)
    connected, _ = await communicator.connect(timeout=PATIENCE_S)
    assert connected
    try:
        yield Socket(communicator)
    finally:
        await communicator.disconnect()


@pytest.fixture
async def token(user: User) -> str:
    return await db_call(create_token, user)


def text_of(frames: list[dict[str, Any]]) -> str:
    text = ""
    for frame in frames:
        if frame["type"] == "snapshot":
            text = frame["text"]
        elif frame["type"] == "delta":
            text += frame["text"]
    return text


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


BAD_FRAMES = [
    "{",
    "[]",
    "5",
    '{"type": "nothing"}',
    '{"type": 5}',
    '{"type": "send"}',
    '{"type": "send", "conversationId": "x", "content": "hi"}',
    f'{{"type": "send", "conversationId": "{uuid4()}", "content": "\\u0000"}}',
    f'{{"type": "resume", "generationId": "{uuid4()}", "after": "x"}}',
    '{"type": "stop", "generationId": 5}',
    '{"a":' * 2_000 + "1" + "}" * 2_000,
]


@pytest.mark.parametrize("text", BAD_FRAMES, ids=range(len(BAD_FRAMES)))
async def test_a_bad_frame_is_a_typed_error_and_the_socket_stays(
    token: str, models: None, text: str
) -> None:
    async with open_socket(token) as socket:
        await socket.send_raw(text)
        error = (await socket.receive("error"))["error"]
        assert error["code"] in {"invalid_frame", "invalid_cursor"}
        await socket.send(type="ping")
        await socket.receive("pong")


async def test_what_belongs_to_others_is_not_there(
    api: ApiClient, worker: GenerationWorker, event_log: object
) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Mine")
    generation = frames[0].data["generationId"]
    other = await db_call(lambda: create_token(make_person()))
    async with open_socket(other) as socket:
        for frame in (
            {"type": "send", "conversationId": conversation, "content": "x"},
            {"type": "regenerate", "conversationId": conversation, "seq": 2},
            {"type": "resume", "generationId": generation},
            {"type": "stop", "generationId": generation},
        ):
            await socket.send(**frame)
            error = (await socket.receive("error"))["error"]
            assert error["code"].endswith("_not_found")


async def test_a_stranger_is_turned_away_with_a_code(db: None) -> None:
    headers = [(b"origin", b"http://testserver"), (b"host", b"testserver")]
    communicator = WebsocketCommunicator(application, "/ws/chat/", headers=headers)
    await communicator.connect(timeout=PATIENCE_S)
    closed = await communicator.receive_output(timeout=PATIENCE_S)
    assert closed == {"type": "websocket.close", "code": 4401}
    await communicator.wait()


async def test_a_foreign_page_cannot_open_a_socket(user: User) -> None:
    client = Client()
    await db_call(client.force_login, user)
    cookie = client.cookies["sessionid"].value
    headers = [
        (b"origin", b"http://testserver:3000"),
        (b"host", b"testserver"),
        (b"cookie", f"sessionid={cookie}".encode()),
    ]
    communicator = WebsocketCommunicator(application, "/ws/chat/", headers=headers)
    await communicator.connect(timeout=PATIENCE_S)
    assert await communicator.receive_output(timeout=PATIENCE_S) == {
        "type": "websocket.close",
        "code": 4403,
    }
    await communicator.wait()


async def test_a_suspended_person_sends_nothing_over_an_open_socket(
    api: ApiClient, user: User, token: str, models: None
) -> None:
    conversation = await api.new_conversation()
    async with open_socket(token) as socket:
        await db_call(User.objects.filter(pk=user.pk).update, suspended_at=timezone.now())
        await socket.send(type="send", conversationId=conversation, content="Hi")
        assert (await socket.receive("error"))["error"]["code"] == "suspended"
        assert await socket.closed() == 4403
    assert not await db_call(Generation.objects.exists)


async def test_a_token_that_was_taken_back_ends_its_socket(user: User, token: str) -> None:
    async with open_socket(token) as socket:
        await db_call(user.tokens.all().delete)
        await socket.send(type="resume", generationId=str(uuid4()))
        assert (await socket.receive("error"))["error"]["code"] == "unauthenticated"
        assert await socket.closed() == 4401


async def test_a_spent_budget_is_refused_with_when_it_resets(
    api: ApiClient, user: User, token: str, models: None
) -> None:
    await db_call(User.objects.filter(pk=user.pk).update, monthly_token_budget=10)
    conversation = await api.new_conversation()
    async with open_socket(token) as socket:
        await socket.send(type="send", conversationId=conversation, content="Hi", clientId="c1")
        error = (await socket.receive("error"))["error"]
    assert error["code"] == "budget_exhausted"
    assert error["retryAfter"] > 0
    resets_at = datetime.fromisoformat(error["detail"]["resetsAt"])
    assert (resets_at.day, resets_at.hour) == (1, 0)
    assert resets_at > timezone.now()
    assert error["detail"]["remaining"] == 10 < error["detail"]["needed"]
    assert not await db_call(Generation.objects.exists)


async def test_whoever_was_signed_out_elsewhere_hears_nothing_more(
    token: str, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "HEARTBEAT_S", 0.05)
    async with open_socket(token) as socket:
        await socket.receive("ping")
        await db_call(user.tokens.all().delete)
        assert await socket.closed() == 4401
