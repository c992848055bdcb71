"""What one address may post before anybody is signed in, through the real pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from chatbot.core.stores import REDIS
from tests.accounts.signing_in import PASSWORD, Visitor
from tests.clocks import LimiterClock
from tests.factories import make_person

pytestmark = pytest.mark.django_db

PROXY = "192.0.2.1"


@pytest.fixture(autouse=True)
def few(settings: Settings) -> None:
    """Fewer than allauth's own limits, which come after."""
    settings.SIGN_INS_PER_MINUTE = 3


def guess(client: Client, *, forwarded: str = "", path: str = "login/") -> Any:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    fields = {"login": "nobody@example.org", "password": "wrong horse battery"}
    return client.post(f"/accounts/{path}", fields, headers=headers)


def statuses(*answers: Any) -> list[int]:
    return [answer.status_code for answer in answers]


def test_one_address_may_try_so_often_and_is_told_when_again() -> None:
    visitor = Visitor()
    assert statuses(*(guess(visitor.http) for _ in range(3))) == [200, 200, 200]
    refusal = guess(visitor.http)
    assert refusal.status_code == 429
    assert 1 <= int(refusal["Retry-After"]) <= 60
    assert "A little too fast" in refusal.content.decode()
    assert "Content-Security-Policy" in refusal
    assert guess(Visitor().http).status_code == 200


def test_all_pages_before_sign_in_count_together() -> None:
    visitor = Visitor()
    pages = ("login/", "signup/", "password/reset/", "2fa/authenticate/")
    *others, last = statuses(*(guess(visitor.http, path=page) for page in pages))
    assert 429 not in others
    assert last == 429


def test_a_day_has_a_limit_too(settings: Settings) -> None:
    settings.SIGN_INS_PER_MINUTE = 100
    settings.SIGN_INS_PER_DAY = 2
    visitor = Visitor()
    assert statuses(*(guess(visitor.http) for _ in range(3))) == [200, 200, 429]


def test_what_the_minute_refuses_the_day_does_not_count(
    settings: Settings, limiter_clock: LimiterClock
) -> None:
    settings.SIGN_INS_PER_DAY = 5
    client = Client(REMOTE_ADDR="198.51.100.99")
    assert statuses(*(guess(client) for _ in range(9))) == [200] * 3 + [429] * 6
    limiter_clock.now += 60
    assert statuses(*(guess(client) for _ in range(3))) == [200, 200, 429]


def test_looking_at_a_page_and_being_signed_in_cost_nothing() -> None:
    make_person(email="seen@example.org", password=PASSWORD)
    visitor = Visitor()
    for _ in range(5):
        assert visitor.http.get("/accounts/login/").status_code == 200
    assert visitor.sign_in("seen@example.org").status_code == 302
    for _ in range(5):
        assert visitor.post("password/change/", oldpassword="x").status_code == 200


def test_a_forged_header_changes_nothing(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = [PROXY]
    stranger = Visitor()
    answers = [guess(stranger.http, forwarded=f"203.0.113.{number}") for number in range(4)]
    assert statuses(*answers) == [200, 200, 200, 429]


def test_behind_a_proxy_each_person_is_counted_and_no_lie_helps(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = [PROXY]
    proxy = Client(REMOTE_ADDR=PROXY)
    liar = "198.51.100.1"
    answers = [
        guess(proxy, forwarded=f"203.0.113.{number}, {PROXY}, {liar}") for number in range(4)
    ]
    assert statuses(*answers) == [200, 200, 200, 429]
    assert guess(proxy, forwarded="198.51.100.2").status_code == 200


def test_a_network_of_ipv6_is_one_visitor() -> None:
    clients = [Client(REMOTE_ADDR=f"2001:db8:0:7:{host}::1") for host in range(1, 5)]
    assert statuses(*(guess(client) for client in clients)) == [200, 200, 200, 429]
    assert guess(Client(REMOTE_ADDR="2001:db8:0:8::1")).status_code == 200


def test_allauth_counts_by_the_same_address(settings: Settings) -> None:
    settings.SIGN_INS_PER_MINUTE = 1_000
    settings.TRUSTED_PROXIES = [PROXY]
    proxy = Client(REMOTE_ADDR=PROXY)
    # Its own limit is twenty a minute.
    answers = [
        guess(proxy, forwarded=f"203.0.113.{number}, 198.51.100.77", path="signup/")
        for number in range(21)
    ]
    assert statuses(*answers)[-2:] == [200, 429]
    assert guess(proxy, forwarded="198.51.100.78", path="signup/").status_code == 200


@pytest.fixture
def redis_away(settings: Settings) -> Any:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    REDIS.note_failure(OSError())
    yield
    REDIS.note_answer()


def test_without_redis_visitors_are_counted_by_the_process(redis_away: None) -> None:
    visitor = Visitor()
    assert statuses(*(guess(visitor.http) for _ in range(4))) == [200, 200, 200, 429]


def test_without_redis_visitors_can_be_refused(redis_away: None, settings: Settings) -> None:
    settings.RATE_LIMIT_WITHOUT_REDIS = "refuse"
    refusal = guess(Visitor().http)
    assert refusal.status_code == 503
    assert refusal["Retry-After"] == "5"
