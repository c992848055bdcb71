"""What a socket refuses, and whom it turns away."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.utils import timezone

from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.asgi import application
from chatbot.core.db import db_call
from conversations import consumers
from conversations.models import Generation
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.conversations.sockets import PATIENCE_S, open_socket
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

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
