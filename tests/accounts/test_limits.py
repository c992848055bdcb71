from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import AsyncClient
from pytest_django import Settings

from chatbot.accounts.limits import count_send, read_rate
from chatbot.accounts.models import Plan
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from chatbot.core.errors import RateLimited, Unavailable
from chatbot.core.stores import REDIS
from tests.conversations.test_consumers import open_socket
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[float], None]:
    """The limiter's clock stands still but for what the test adds."""
    settings.SENDS_PER_MINUTE = {"free": 3, "pro": 5}
    clock = SimpleNamespace(now=1_800_000_000.0)
    monkeypatch.setattr("django_ratelimit.core.time", SimpleNamespace(time=lambda: clock.now))

    def add(seconds: float) -> None:
        clock.now += seconds

    return add


def test_sends_up_to_the_limit_pass(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    assert [count_send(person).remaining for _ in range(3)] == [2, 1, 0]
    with pytest.raises(RateLimited):
        count_send(person)


def test_a_refusal_says_when_to_try_again(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    for _ in range(3):
        count_send(person)
    with pytest.raises(RateLimited) as caught:
        count_send(person)
    body = caught.value.body()
    assert body["code"] == "rate_limited"
    assert 1 <= body["retryAfter"] <= 60

    pass_time(body["retryAfter"])
    count_send(person)


def test_each_person_has_a_count_of_their_own(pass_time: Callable[[float], None]) -> None:
    person, other = make_person(), make_person()
    for _ in range(3):
        count_send(person)
    assert count_send(other).remaining == 2


def test_the_plan_decides_the_limit(pass_time: Callable[[float], None]) -> None:
    person = make_person(plan=Plan.PRO)
    assert count_send(person).limit == 5
    assert read_rate(person).remaining == 4


def test_reading_the_rate_counts_nothing(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    assert [read_rate(person).remaining for _ in range(5)] == [3] * 5
    count_send(person)
    assert read_rate(person).remaining == 2


def test_a_refused_send_leaves_nothing_remaining(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    for _ in range(3):
        count_send(person)
    with pytest.raises(RateLimited):
        count_send(person)
    assert read_rate(person).remaining == 0


@pytest.fixture
def redis_away() -> Iterator[None]:
    REDIS.note_failure(OSError())
    yield
    REDIS.note_answer()


def test_without_redis_sends_are_counted_by_the_process(
    pass_time: Callable[[float], None], redis_away: None
) -> None:
    person = make_person()
    assert [count_send(person).remaining for _ in range(3)] == [2, 1, 0]
    with pytest.raises(RateLimited):
        count_send(person)


def test_without_redis_sends_can_be_refused(
    pass_time: Callable[[float], None], redis_away: None, settings: Settings
) -> None:
    settings.RATE_LIMIT_WITHOUT_REDIS = "refuse"
    person = make_person()
    with pytest.raises(Unavailable) as caught:
        count_send(person)
    assert caught.value.body()["retryAfter"] == 5
    assert read_rate(person).limit == 3


@pytest.mark.django_db(transaction=True)
async def test_both_doors_count_together(pass_time: Callable[[float], None], models: None) -> None:
    person = await db_call(make_person)
    token = await db_call(create_token, person)
    conversations = [(await db_call(make_conversation, person)).pk for _ in range(4)]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    async def send_over_http(number: int) -> Any:
        path = f"/api/v1/conversations/{conversations[number]}/messages"
        return await AsyncClient().post(
            path, {"content": "Hi"}, content_type="application/json", headers=headers
        )

    async with open_socket(token) as socket:

        async def send_over_socket(number: int) -> dict[str, Any]:
            await socket.send(type="send", conversationId=str(conversations[number]), content="Hi")
            return await socket.receive("accepted", "error")

        assert (await send_over_http(0)).status_code == 202
        assert (await send_over_socket(1))["type"] == "accepted"
        assert (await send_over_http(2)).status_code == 202
        by_http, by_socket = await send_over_http(3), await send_over_socket(3)
    assert by_http.status_code == 429
    assert by_http["Retry-After"] == str(by_http.json()["error"]["retryAfter"])
    assert by_socket["error"] == by_http.json()["error"]
    assert by_socket["error"]["code"] == "rate_limited"
