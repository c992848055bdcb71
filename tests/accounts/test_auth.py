"""Who the API takes a request to be from: the rules of `authenticate`, then over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client, RequestFactory
from django.utils.timezone import now

from chatbot.accounts.auth import (
    CsrfFailed,
    ForeignOrigin,
    Suspended,
    authenticate,
    authenticate_socket,
    bearer_token,
)
from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from chatbot.core.errors import Unauthenticated
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def signed_in_request(user: User | None, method: str = "get", **headers: str) -> HttpRequest:
    request: HttpRequest = getattr(RequestFactory(), method)("/api/v1/me", headers=headers)
    request.session = SessionStore()
    if user is not None:
        login(request, user, backend=BACKEND)
        request.session.save()
    return request


@pytest.fixture
def person() -> User:
    return make_person()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc ", "abc"),
        ("BEARER  abc", "abc"),
        ("Bearer", ""),
        ("Basic abc", None),
        ("", None),
        ("abc", None),
    ],
)
def test_a_bearer_token_is_read_from_its_header(header: str, token: str | None) -> None:
    assert bearer_token(header) == token


async def test_nobody_is_unauthenticated() -> None:
    with pytest.raises(Unauthenticated):
        await authenticate(await db_call(signed_in_request, None))


async def test_a_token_is_enough(person: User) -> None:
    token = await db_call(create_token, person)
    request = await db_call(signed_in_request, None, "post", authorization=f"Bearer {token}")
    assert await authenticate(request) == person


async def test_a_session_is_enough_to_read(person: User) -> None:
    assert await authenticate(await db_call(signed_in_request, person)) == person


async def test_the_token_wins_over_the_cookie(person: User) -> None:
    other = await db_call(make_person)
    token = await db_call(create_token, other)
    request = await db_call(signed_in_request, person, authorization=f"Bearer {token}")
    assert await authenticate(request) == other


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Bearer parley_x"])
async def test_a_bad_token_is_refused_even_with_a_good_cookie(person: User, header: str) -> None:
    request = await db_call(signed_in_request, person, authorization=header)
    with pytest.raises(Unauthenticated):
        await authenticate(request)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
async def test_a_session_cannot_write_without_its_csrf_token(person: User, method: str) -> None:
    with pytest.raises(CsrfFailed):
        await authenticate(await db_call(signed_in_request, person, method))


async def test_a_session_writes_with_its_csrf_token(person: User) -> None:
    request = await db_call(signed_in_request, person, "post")
    token = get_token(request)
    request.COOKIES["csrftoken"] = request.META["CSRF_COOKIE"]
    request.META["HTTP_X_CSRFTOKEN"] = token
    assert await authenticate(request) == person


async def test_a_csrf_token_from_another_site_is_refused(person: User) -> None:
    request = await db_call(signed_in_request, person, "post", origin="https://evil.example")
    token = get_token(request)
    request.COOKIES["csrftoken"] = request.META["CSRF_COOKIE"]
    request.META["HTTP_X_CSRFTOKEN"] = token
    with pytest.raises(CsrfFailed):
        await authenticate(request)


@pytest.mark.parametrize("door", ["cookie", "token"])
async def test_a_suspended_person_is_told_so(person: User, door: str) -> None:
    request = await request_through(person, door)
    await db_call(User.objects.filter(pk=person.pk).update, suspended_at=now())
    with pytest.raises(Suspended):
        await authenticate(request)


@pytest.mark.parametrize("door", ["cookie", "token"])
async def test_an_inactive_person_is_nobody(person: User, door: str) -> None:
    request = await request_through(person, door)
    await db_call(User.objects.filter(pk=person.pk).update, is_active=False)
    with pytest.raises(Unauthenticated):
        await authenticate(request)


async def request_through(person: User, door: str) -> HttpRequest:
    if door == "cookie":
        return await db_call(signed_in_request, person)
    token = await db_call(create_token, person)
    return await db_call(signed_in_request, None, authorization=f"Bearer {token}")


async def test_a_changed_password_ends_the_session(person: User) -> None:
    request = await db_call(signed_in_request, person)

    def change_password() -> None:
        person.set_password("another horse battery")
        person.save(update_fields=["password"])

    await db_call(change_password)
    with pytest.raises(Unauthenticated):
        await authenticate(request)


async def test_a_socket_enters_by_token_or_by_session(person: User) -> None:
    token = await db_call(create_token, person)
    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {token}".encode())]
    assert await authenticate_socket(headers, None) == person
    session: Any = (await db_call(signed_in_request, person)).session
    own = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
    assert await authenticate_socket(own, session) == person


async def test_a_session_does_not_open_a_socket_for_a_foreign_page(person: User) -> None:
    session: Any = (await db_call(signed_in_request, person)).session
    for origin in ([], [(b"origin", b"http://testserver:3000")]):
        with pytest.raises(ForeignOrigin):
            await authenticate_socket([(b"host", b"testserver"), *origin], session)


async def test_a_session_that_ended_opens_no_socket(person: User) -> None:
    session: Any = (await db_call(signed_in_request, person)).session
    await db_call(type(session)(session.session_key).delete)
    own = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
    with pytest.raises(Unauthenticated):
        await authenticate_socket(own, session)


async def test_a_sockets_bad_token_is_refused_even_with_a_good_session(person: User) -> None:
    session: Any = (await db_call(signed_in_request, person)).session
    with pytest.raises(Unauthenticated):
        await authenticate_socket([(b"authorization", b"Bearer \xff")], session)
    with pytest.raises(Unauthenticated):
        await authenticate_socket([], None)


async def test_the_api_says_401_and_how_to_sign_in() -> None:
    response = await AsyncClient().get("/api/v1/me")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "unauthenticated"


async def test_the_api_says_403_to_a_suspended_person(person: User) -> None:
    token = await db_call(create_token, person)
    await db_call(User.objects.filter(pk=person.pk).update, suspended_at=now())
    bearer = {"Authorization": f"Bearer {token}"}
    response = await AsyncClient().get("/api/v1/models", headers=bearer)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "suspended"


async def test_the_api_says_401_to_an_inactive_person(person: User) -> None:
    token = await db_call(create_token, person)
    await db_call(User.objects.filter(pk=person.pk).update, is_active=False)
    response = await AsyncClient().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401


def test_the_api_checks_csrf_for_cookies_and_not_for_tokens(person: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person, backend=BACKEND)
    create: dict[str, Any] = {"path": "/api/v1/conversations", "content_type": "application/json"}
    refused = client.post(**create, data="{}")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "csrf_failed"
    bearer = {"Authorization": f"Bearer {create_token(person)}"}
    assert (
        Client(enforce_csrf_checks=True).post(**create, data="{}", headers=bearer).status_code
        == 201
    )
    assert client.get("/api/v1/me").status_code == 200
