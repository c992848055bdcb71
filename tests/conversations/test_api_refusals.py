"""What people may not do, and how they are told."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.test import AsyncClient

from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from conversations.models import Message
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_belongs_to_others_is_not_there(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Mine")
    other = ApiClient(await db_call(lambda: create_token(make_person())))
    generation = frames[0].data["generationId"]
    attempts = [
        ("get", f"/conversations/{conversation}", None),
        ("patch", f"/conversations/{conversation}", {"title": "x"}),
        ("delete", f"/conversations/{conversation}", None),
        ("post", f"/conversations/{conversation}/messages", {"content": "x"}),
        ("post", f"/conversations/{conversation}/messages/2/regenerate", {}),
        ("put", f"/conversations/{conversation}/messages/2/feedback", {"rating": "up"}),
        ("get", f"/generations/{generation}/events", None),
        ("post", f"/generations/{generation}/stop", None),
    ]
    for method, path, body in attempts:
        response = await other.call(method, path, body)
        assert response.status_code == 404, (method, path, response.status_code)
    assert (await other.call("get", "/conversations")).json()["items"] == []


async def test_without_a_sign_in_nothing_is_answered(db: None) -> None:
    client = AsyncClient()
    for path in ("/conversations", "/me", "/models", f"/generations/{uuid4()}/events"):
        response = await client.get(f"/api/v1{path}")
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "unauthenticated"


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b'{"content": NaN}',
    b'{"content": "\\ud800"}',
    b'{"content": "\\u0000"}',
    b'{"content": "\xff\xfe"}',
    b'{"content": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"content": ' + b"9" * 5_000 + b"}",
    json.dumps({"content": "x" * 32_001}).encode(),
    b'{"content": "ok", "extra": 1}',
    b'{"content": "ok", "parentSeq": 99999999999999999999}',
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_a_bad_body_is_a_400_and_loses_nothing(api: ApiClient, body: bytes) -> None:
    conversation = await api.new_conversation()
    response = await api.call("post", f"/conversations/{conversation}/messages", body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"
    assert await db_call(Message.objects.count) == 0


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=%00",
        "cursor=abc",
        "cursor=" + "A" * 300,
        "q=%00",
        "q=" + "a" * 10_000,
        "q=a&cursor=abc",
    ],
)
async def test_a_bad_query_is_a_400(api: ApiClient, query: str) -> None:
    response = await api.call("get", f"/conversations?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["code"] in {"invalid_request", "invalid_cursor"}


@pytest.mark.parametrize("seq", [0, 2**31, 10**30])
async def test_a_place_that_no_message_can_have_is_a_400(api: ApiClient, seq: int) -> None:
    message = f"/conversations/{await api.new_conversation()}/messages/{seq}"
    asked = await api.call("post", f"{message}/regenerate", {})
    rated = await api.call("put", f"{message}/feedback", {"rating": "up"})
    for response in (asked, rated):
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("key", ["", "with space", "ü", "x" * 201])
async def test_a_bad_idempotency_key_is_a_400(api: ApiClient, key: str) -> None:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "x"}, **{"Idempotency-Key": key})
    assert response.status_code == 400


async def test_a_bad_cursor_is_a_400(api: ApiClient, worker: GenerationWorker) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, "Hi")
    events = f"/generations/{frames[0].data['generationId']}/events"
    for cursor in ("nonsense", "99-1"):
        response = await api.call("get", events, **{"Last-Event-ID": cursor})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_cursor"


@pytest.mark.parametrize("seq", ["0", "2147483648", "9" * 40])
async def test_a_number_that_no_message_can_have_is_a_400(api: ApiClient, seq: str) -> None:
    conversation = await api.new_conversation()
    message = f"/conversations/{conversation}/messages/{seq}"
    for method, path, body in (
        ("post", f"{message}/regenerate", {}),
        ("put", f"{message}/feedback", {"rating": "up"}),
    ):
        response = await api.call(method, path, body)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_request"


async def test_unknown_addresses_and_models_are_typed_errors(api: ApiClient, models: None) -> None:
    refused = await api.call("put", "/conversations", {})
    assert refused.status_code == 405
    assert refused.json()["error"]["code"] == "method_not_allowed"
    assert "GET" in refused["Allow"]
    assert (await api.call("get", "/nothing")).json()["error"]["code"] == "not_found"
    assert (await api.call("get", f"/conversations/{uuid4()}")).json()["error"]["code"] == (
        "conversation_not_found"
    )
    response = await api.call("post", "/conversations", {"model": "no-such-model"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unknown_model"


async def test_a_message_beyond_the_window_is_refused_with_its_size(
    api: ApiClient, models: None
) -> None:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "漢" * 32_000})
    assert response.status_code == 413
    error = response.json()["error"]
    assert error["code"] == "message_too_long"
    assert error["detail"]["tokens"] > error["detail"]["limit"]
    for number in error["detail"]["tokens"], error["detail"]["limit"]:
        assert f"{number:,}" in error["message"]


async def test_a_text_of_too_many_characters_is_refused_with_its_size_and_the_limit(
    api: ApiClient, models: None
) -> None:
    conversation = await api.new_conversation()
    sent = await api.call(
        "post", f"/conversations/{conversation}/messages", {"content": "x" * 32_001}
    )
    sought = await api.call("get", f"/conversations?q={'x' * 201}")
    told = [(one.status_code, one.json()["error"]) for one in (sent, sought)]
    said = "{}: {} characters are too many; there may be {}."
    assert told == [
        (400, {"code": "invalid_request", "message": said.format("content", 32_001, 32_000)}),
        (400, {"code": "invalid_request", "message": said.format("q", 201, 200)}),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [(" \u200b\n", "there is nothing in it"), ("a\0b", "NUL characters are not text")],
)
async def test_a_text_that_is_none_is_refused_in_plain_words(
    api: ApiClient, content: str, why: str
) -> None:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    refused = await api.call("post", path, {"content": content})
    assert refused.json()["error"]["message"] == f"content: {why}."


async def test_a_spent_budget_is_a_402_that_says_when_it_resets(
    api: ApiClient, user: User, models: None
) -> None:
    await db_call(User.objects.filter(pk=user.pk).update, monthly_token_budget=10)
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "Hi"})
    assert response.status_code == 402
    assert response.json()["error"]["detail"]["resetsAt"]
    assert await db_call(Message.objects.count) == 0


async def test_too_many_sends_are_a_429_with_a_time(
    api: ApiClient, worker: GenerationWorker, settings: object
) -> None:
    settings.SENDS_PER_MINUTE = {"free": 1, "pro": 1}  # type: ignore[attr-defined]
    conversation = await api.new_conversation()
    key = {"Idempotency-Key": "only"}
    await api.send(conversation, "one", **key)
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "two"})
    assert response.status_code == 429
    assert response.json()["error"]["retryAfter"] >= 1
    assert int(response["Retry-After"]) >= 1
    # A repeat is answered all the same: it was counted already.
    assert (await api.send(conversation, "one", **key))[-1].event == "done"
