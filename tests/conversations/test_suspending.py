"""A suspension reaches open sockets, streams and running answers, and no one else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from django.utils import timezone

from chatbot.accounts.models import User
from chatbot.accounts.sanctions import AccountWarning
from chatbot.accounts.suspensions import find_suspension, lift, suspend, warn
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.models import Generation, State
from conversations.suspending import follow_suspensions
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.conversations.sockets import open_socket
from tests.conversations.test_overrides import until
from tests.factories import make_person
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def following() -> AsyncIterator[None]:
    """What every web process does."""
    task = spawn(follow_suspensions(), name="suspensions under test")
    yield
    task.cancel()


def suspend_now(user: User) -> None:
    end = timezone.now() + timedelta(days=1)
    suspend(user.pk, by="user:moderator", reason="Threats.", until=end)


async def test_an_open_socket_is_told_and_closed_and_a_lifted_one_opens(
    user: User, following: None
) -> None:
    token = await db_call(create_token, user)
    other = await db_call(create_token, await db_call(make_person))
    async with open_socket(other) as undisturbed, open_socket(token) as socket:
        await db_call(suspend_now, user)
        told = (await socket.receive("error"))["error"]
        assert told["code"] == "suspended"
        assert told["detail"]["reason"] == "Threats."
        assert told["detail"]["mayAppeal"]
        assert await socket.closed() == 4403
        await undisturbed.send(type="ping")
        await undisturbed.receive("pong")
    holding = await db_call(find_suspension, user.pk)
    assert holding
    await db_call(lift, holding.pk, by="user:moderator", note="A mistake.")
    async with open_socket(token) as socket:
        await socket.send(type="ping")
        await socket.receive("pong")


async def test_a_running_answer_is_stopped_and_its_stream_says_why(
    api: ApiClient,
    user: User,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    following: None,
) -> None:
    provider.script({"text": "word " * 400, "token_ms": 20})
    conversation = await api.new_conversation()
    kinds: list[str] = []
    last = None
    async for frame in api.stream(
        "post", f"/conversations/{conversation}/messages", {"content": "Hi"}
    ):
        kinds.append(frame.event)
        last = frame
        if frame.event == "delta" and kinds.count("delta") == 1:
            await db_call(suspend_now, user)
    assert kinds[-1] == "refused"
    assert last is not None
    assert last.data["error"]["code"] == "suspended"
    await until(lambda: not worker.running)
    assert (await db_call(Generation.objects.get)).state == State.STOPPED


async def test_a_suspended_person_sees_why_appeals_once_and_takes_out_what_is_theirs(
    api: ApiClient, user: User
) -> None:
    refused = await api.call("post", "/me/appeal", {"text": "Why?"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_suspended")
    await db_call(suspend_now, user)
    listed = await api.call("get", "/conversations")
    assert listed.status_code == 403
    assert listed.json()["error"]["detail"]["reason"] == "Threats."
    standing = (await api.call("get", "/me")).json()["standing"]
    assert standing["suspension"]["mayAppeal"]
    assert standing["suspension"]["appeal"] is None

    assert (await api.call("post", "/me/appeal", {"text": " "})).status_code == 400
    made = await api.call("post", "/me/appeal", {"text": "It was a quotation."})
    assert made.status_code == 201
    assert made.json()["suspension"]["appeal"]["isGranted"] is None
    again = await api.call("post", "/me/appeal", {"text": "Please."})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_appealed")

    response = await api.call("get", "/me/export")
    document = b"".join([chunk async for chunk in response]).decode()
    assert '"appealText":"It was a quotation."' in document


async def test_a_warning_is_shown_until_it_is_seen(api: ApiClient, user: User) -> None:
    await db_call(warn, user.pk, by="user:moderator", text="Please do not.")
    (shown,) = (await api.call("get", "/me")).json()["standing"]["warnings"]
    assert shown["text"] == "Please do not."
    path = f"/me/warnings/{shown['warningId']}/seen"
    assert (await api.call("post", path)).status_code == 204
    assert (await api.call("get", "/me")).json()["standing"]["warnings"] == []
    await db_call(AccountWarning.objects.all().delete)
    gone = await api.call("post", path)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "warning_not_found")
