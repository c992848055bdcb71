"""The API's lane: who enters through it, with which headers, and on which threads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.core.signals import request_finished, request_started
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from chatbot.core.handler import Handler
from conversations.worker import GenerationWorker
from tests.asking import REQUEST_TASK, Answer, Asking, ask
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
SECRET = "a" * 32


@dataclass(frozen=True)
class Caller:
    """One person's two ways in, as headers."""

    user: User
    bearer: dict[str, str]
    cookie: dict[str, str]


def make_caller(**fields: Any) -> Caller:
    user = make_person(**fields)
    client = Client()
    client.force_login(user, backend=BACKEND)
    session = client.cookies["sessionid"].value
    return Caller(
        user,
        {"authorization": f"Bearer {create_token(user)}"},
        {"cookie": f"sessionid={session}; csrftoken={SECRET}"},
    )


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def caller(transactional_db: None) -> Caller:
    return make_caller()


CSRF = {"x-csrftoken": SECRET}
WAYS: dict[str, Callable[[Caller], dict[str, str]]] = {
    "bearer": lambda who: who.bearer,
    "cookie": lambda who: who.cookie | CSRF,
    "cookie without its CSRF token": lambda who: who.cookie,
    "cookie with another CSRF token": lambda who: who.cookie | {"x-csrftoken": "b" * 32},
    "cookie from another site": lambda who: who.cookie | CSRF | {"origin": "http://evil.example"},
    "both": lambda who: who.cookie | who.bearer,
    "bad bearer and good cookie": lambda who: (
        who.cookie | CSRF | {"authorization": "Bearer parley_x"}
    ),
    "another scheme and a cookie": lambda who: who.cookie | CSRF | {"authorization": "Basic abc"},
    "cookie of nobody": lambda who: {"cookie": f"sessionid={'z' * 32}; csrftoken={SECRET}"} | CSRF,
    "none": lambda who: {},
}
UNAUTHENTICATED = {"bad bearer and good cookie", "cookie of nobody", "none"}
FORGED = {
    "cookie without its CSRF token",
    "cookie with another CSRF token",
    "cookie from another site",
}
CALLS = {
    "GET": ("/api/v1/conversations", b"", 200),
    "POST": ("/api/v1/conversations", b"{}", 201),
    "PATCH": ("/api/v1/me", b"{}", 200),
    "DELETE": ("/api/v1/conversations/{}", b"", 204),
}


@pytest.mark.parametrize("suspended", [False, True], ids=["", "suspended"])
@pytest.mark.parametrize("method", list(CALLS))
@pytest.mark.parametrize("way", list(WAYS))
async def test_who_may_do_what(
    handler: Handler, caller: Caller, way: str, method: str, suspended: bool
) -> None:
    conversation = await db_call(make_conversation, caller.user)
    if suspended:
        await db_call(User.objects.filter(pk=caller.user.pk).update, suspended_at=now())
    path, body, status = CALLS[method]
    expected: tuple[int, str | None] = (status, None)
    if way in UNAUTHENTICATED:
        expected = (401, "unauthenticated")
    elif suspended:
        expected = (403, "suspended")
    elif way in FORGED and method != "GET":
        expected = (403, "csrf_failed")
    headers = WAYS[way](caller) | {"content-type": "application/json"}
    answer = await ask(handler, method, path.format(conversation.pk), headers=headers, body=body)
    assert (answer.status, answer.error if answer.status >= 400 else None) == expected


async def test_a_session_that_a_new_password_ended_is_over_and_its_cookie_taken_back(
    handler: Handler, caller: Caller
) -> None:
    def change_password() -> None:
        caller.user.set_password("another horse battery")
        caller.user.save(update_fields=["password"])

    await db_call(change_password)
    answer = await ask(handler, "GET", "/api/v1/me", headers=caller.cookie)
    assert answer.status == 401
    assert answer.named["Set-Cookie"].startswith('sessionid="";')
    assert answer.named["Vary"] == "Cookie"


@pytest.mark.parametrize(("way", "varies"), [("bearer", False), ("cookie", True), ("none", True)])
async def test_only_what_a_cookie_decided_varies_by_it(
    handler: Handler, caller: Caller, way: str, varies: bool
) -> None:
    answer = await ask(handler, "GET", "/api/v1/models", headers=WAYS[way](caller))
    assert ("Cookie" in answer.named.get("Vary", "")) is varies


async def every_kind_of_answer(handler: Handler, caller: Caller, **how: Any) -> dict[str, Answer]:
    """Return answers of every kind there is, by what they are."""
    conversation = await db_call(make_conversation, caller.user)
    messages = f"/api/v1/conversations/{conversation.pk}/messages"

    async def call(method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        return await ask(handler, method, path, headers=caller.bearer | headers, body=body, **how)

    hello = json.dumps({"content": "Hello"}).encode()
    answers = {
        "a stream": await call("POST", messages, hello),
        "a reference": await call("POST", messages, hello, accept="application/json"),
        "an export": await call("GET", "/api/v1/me/export"),
        "read": await call("GET", "/api/v1/me"),
        "created": await call("POST", "/api/v1/conversations", b"{}"),
        "no content": await call("DELETE", f"/api/v1/conversations/{conversation.pk}"),
        "a bad body": await call("POST", "/api/v1/conversations", b"{"),
        "a bad host": await call("GET", "/api/v1/me", host="evil.example"),
        "nobody": await call("GET", "/api/v1/me", authorization="Bearer parley_x"),
        "not there": await call("GET", f"/api/v1/conversations/{uuid4()}"),
        "no such address": await call("GET", "/api/v1/nothing"),
        "no such method": await call("PUT", "/api/v1/conversations"),
    }
    statuses = {name: answer.status for name, answer in answers.items()}
    assert list(statuses.values()) == [200, 202, 200, 200, 201, 204, 400, 400, 401, 404, 404, 405]
    assert answers["a stream"].named["Content-Type"] == "text/event-stream"
    assert b"event: done" in answers["a stream"].body
    return answers


SECURITY_HEADERS = [
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_every_answer_has_the_security_headers_of_a_page(
    caller: Caller, worker: GenerationWorker, settings: Settings, scheme: str
) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    handler = Handler()
    page = await ask(handler, "GET", "/accounts/login/", scheme=scheme)
    names = [*SECURITY_HEADERS, *(["Strict-Transport-Security"] if scheme == "https" else [])]
    wanted = [(name, page.named[name]) for name in names]
    for kind, answer in (await every_kind_of_answer(handler, caller, scheme=scheme)).items():
        found = [(name, answer.named.get(name)) for name in names]
        assert found == wanted, kind
        assert len(answer.named) == len(answer.headers), f"{kind}: a header came twice"


async def test_plain_http_is_sent_to_https_before_anything_is_read(
    caller: Caller, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    handler = Handler()
    answer = await ask(handler, "GET", "/api/v1/me", headers=caller.bearer)
    assert answer.status == 301
    assert answer.named["Location"] == "https://testserver/api/v1/me"
    assert answer.named["X-Frame-Options"] == "DENY"
    secure = await ask(handler, "GET", "/api/v1/me", headers=caller.bearer, scheme="https")
    assert secure.status == 200


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pools whose threads requests asked to do something."""
    asked: list[str] = []
    submit = ThreadPoolExecutor.submit

    def noted_submit(executor: Any, *arguments: Any, **options: Any) -> Any:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        # The worker has tasks of its own on this loop.
        if task is not None and task.get_name() == REQUEST_TASK:
            asked.append(executor._thread_name_prefix)
        return submit(executor, *arguments, **options)

    # Python's own class: every hop to a thread goes through it.
    monkeypatch.setattr(ThreadPoolExecutor, "submit", noted_submit)
    return asked


async def test_a_request_with_a_token_asks_no_thread_but_the_databases(
    handler: Handler, caller: Caller, worker: GenerationWorker, asked: list[str]
) -> None:
    await every_kind_of_answer(handler, caller)
    assert set(asked) == {"database"}


@pytest.mark.parametrize("way", ["bearer", "cookie"])
async def test_who_is_asking_takes_one_hop(
    handler: Handler, caller: Caller, asked: list[str], way: str
) -> None:
    await ask(handler, "GET", "/api/v1/models", headers=WAYS[way](caller))
    assert asked == ["database"]


async def test_nobody_takes_no_hop(handler: Handler, caller: Caller, asked: list[str]) -> None:
    for headers in ({}, {"authorization": "Bearer abc"}, {"cookie": "csrftoken=abc"}):
        answer = await ask(handler, "POST", "/api/v1/conversations", headers=headers, body=b"{}")
        assert answer.error == "unauthenticated"
    assert asked == []


async def test_signals_frame_each_request_once(handler: Handler, caller: Caller) -> None:
    seen: list[str] = []

    def begin(**_: Any) -> None:
        seen.append("begin")

    def end(**_: Any) -> None:
        seen.append("end")

    request_started.connect(begin)
    request_finished.connect(end)
    try:
        for path in ("/api/v1/me", "/api/v1/nothing", "/api/v1/docs", "/healthz"):
            await ask(handler, "GET", path, headers=caller.bearer)
            assert seen == ["begin", "end"], path
            seen.clear()
    finally:
        request_started.disconnect(begin)
        request_finished.disconnect(end)


async def test_a_client_that_goes_ends_its_stream(
    handler: Handler, caller: Caller, models: None
) -> None:
    conversation = await db_call(make_conversation, caller.user)
    ended: list[str] = []

    def end(**_: Any) -> None:
        ended.append("end")

    request_finished.connect(end)
    try:
        asking = Asking(
            handler,
            "POST",
            f"/api/v1/conversations/{conversation.pk}/messages",
            headers=caller.bearer,
            body=b'{"content": "Hello"}',
        )
        # Nothing answers: the stream is open, and would stay so.
        await asking.answer.part_came.wait()
        asking.leave()
        await asking.task
    finally:
        request_finished.disconnect(end)
    assert asking.answer.status == 200
    assert ended == ["end"]


async def test_pages_and_the_documentation_take_the_way_through_all_middlewares(
    handler: Handler, caller: Caller
) -> None:
    docs = await ask(handler, "GET", "/api/v1/docs")
    assert docs.status == 200
    assert "Content-Security-Policy" not in docs.named
    posted = await ask(handler, "POST", "/api/v1/docs", headers=caller.cookie)
    assert posted.status == 403
    chat = await ask(handler, "GET", "/", headers=caller.cookie)
    assert chat.status == 200
