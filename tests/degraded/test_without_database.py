"""With PostgreSQL restarted, gone or frozen, people are told so in time, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import httpx2
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed

from tests.degraded.conftest import FROZEN_S
from tests.degraded.device import Device, eventually, takes_less_than
from tests.production import Production, Web

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

# Waits are bounded; how long they take on a busy machine is not the claim.
BOUND_S = 10.0


def wait_until_noticed(production: Production) -> None:
    """Every web process finds out by itself, a moment after the database has come back."""
    for web in production.webs:
        eventually(lambda web=web: probe(web)["database"], within_s=5)


def probe(web: Web) -> dict[str, object]:
    parts: dict[str, object] = httpx2.get(f"{web.url}/readyz", trust_env=False, timeout=30).json()
    return parts


@contextmanager
def database_gone(production: Production) -> Iterator[None]:
    production.postgres.stop()
    try:
        yield
    finally:
        production.postgres.start()
        wait_until_noticed(production)


@contextmanager
def database_frozen(production: Production) -> Iterator[None]:
    production.postgres.pause()
    try:
        yield
    finally:
        production.postgres.resume()
        wait_until_noticed(production)


def assert_says_try_again(response: httpx2.Response) -> None:
    assert response.status_code == 503, response.text
    error = response.json()["error"]
    assert error["code"] == "unavailable"
    assert response.headers["Retry-After"] == str(error["retryAfter"])


def test_a_restart_between_requests_fails_none(production: Production, phone: Device) -> None:
    with ThreadPoolExecutor(12) as people:

        def ask_all() -> list[int]:
            asked = people.map(lambda _: phone.http.get("/conversations").status_code, range(48))
            return list(asked)

        assert set(ask_all()) == {200}
        production.postgres.restart()
        with takes_less_than(BOUND_S):
            assert set(ask_all()) == {200}


def test_who_asks_during_a_restart_waits_for_it(production: Production, phone: Device) -> None:
    with ThreadPoolExecutor(8) as people:
        production.postgres.stop()
        asked = [people.submit(phone.http.get, "/conversations") for _ in range(8)]
        production.postgres.start()
        assert {answer.result().status_code for answer in asked} == {200}


@pytest.mark.parametrize(
    ("away", "bound_s"), [(database_gone, BOUND_S), (database_frozen, FROZEN_S + BOUND_S)]
)
def test_the_api_says_try_again_in_time(
    production: Production, phone: Device, away: type, bound_s: float
) -> None:
    conversation = phone.new_conversation()
    with away(production), ThreadPoolExecutor(30) as people:
        with takes_less_than(bound_s):
            answers = list(people.map(lambda _: phone.http.get("/me"), range(30)))
        for answer in answers:
            assert_says_try_again(answer)
        # Known by now: a few find out whether it is back, and nobody waits for them.
        with takes_less_than(2 * bound_s):
            for _ in range(20):
                assert_says_try_again(phone.send(conversation))
    assert phone.send(conversation).status_code == 202


@pytest.mark.parametrize(
    ("away", "bound_s"), [(database_gone, BOUND_S), (database_frozen, FROZEN_S + BOUND_S)]
)
def test_a_page_is_a_503_page(production: Production, away: type, bound_s: float) -> None:
    # A session that has to be looked up.
    cookies = {"sessionid": "0123456789abcdefghijklmnopqrstuv"}
    pages = ["/", "/accounts/login/", "/admin/login/"]
    with httpx2.Client(
        base_url=production.webs[0].url, cookies=cookies, trust_env=False, timeout=30
    ) as browser:
        # A connection that lies in the pool, so that the first page waits for its reply.
        assert browser.get("/accounts/login/").status_code == 200
        with away(production):
            for page in pages:
                with takes_less_than(bound_s):
                    response = browser.get(page)
                assert response.status_code == 503
                assert response.headers["Retry-After"]
                assert "Back in a moment" in response.text
        assert {browser.get(page).status_code for page in pages} <= {200, 302}


@pytest.mark.parametrize("away", [database_gone, database_frozen])
def test_an_open_socket_stays_and_a_new_one_is_told_to_come_again(
    production: Production, phone: Device, away: type
) -> None:
    conversation = phone.new_conversation()
    send = {"type": "send", "conversationId": conversation, "content": "Hi", "clientId": "c"}
    with phone.socket() as socket:
        with away(production):
            socket.send(**send)
            answer = socket.receive("error", within_s=BOUND_S)
            assert answer["error"]["code"] == "unavailable"
            assert answer["error"]["retryAfter"]
            assert answer["clientId"] == "c"
            with phone.socket() as other, pytest.raises(ConnectionClosed) as closed:
                other.receive("ping", within_s=BOUND_S)
            # Not 4401: that would make the client stop and ask to sign in.
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
            socket.send(type="ping")
            socket.receive("pong")
        socket.send(**send)
        assert socket.receive("accepted")["clientId"] == "c"


def test_readiness_says_in_time_that_the_database_is_away(production: Production) -> None:
    web = production.webs[0]
    with database_frozen(production):
        with takes_less_than(3):
            assert probe(web)["database"] is False
        assert httpx2.get(f"{web.url}/healthz", trust_env=False, timeout=30).status_code == 200


def test_a_message_whose_commit_was_never_confirmed_is_sent_once(
    production: Production, phone: Device
) -> None:
    conversation, key = phone.new_conversation(), str(uuid4())
    with (
        psycopg.connect(production.postgres.url, autocommit=True) as operator,
        ThreadPoolExecutor(1) as person,
    ):
        # It commits here, and then waits for a standby that never says that it has it.
        operator.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        operator.execute("SELECT pg_reload_conf()")
        try:
            sent = person.submit(phone.send, conversation, key=key)
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            waiting = f"{ended} WHERE wait_event = 'SyncRep'"
            eventually(lambda: operator.execute(waiting).fetchone() == (1,), within_s=10)
            assert_says_try_again(sent.result())
        finally:
            operator.execute("ALTER SYSTEM RESET synchronous_standby_names")
            operator.execute("SELECT pg_reload_conf()")
    again, once_more = phone.send(conversation, key=key), phone.send(conversation, key=key)
    assert again.status_code == once_more.status_code == 202
    assert again.json() == once_more.json()
    messages = phone.http.get(f"/conversations/{conversation}").json()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
