from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import AsyncClient
from django.utils import timezone
from pytest_django import Settings

from chatbot.accounts.limits import count_request, count_send, read_rate
from chatbot.accounts.models import Plan, User
from chatbot.accounts.rates import RateStatus
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from chatbot.core.errors import RateLimited
from conversations.eventlog import EventLog
from tests.clocks import LimiterClock
from tests.conversations.sockets import open_socket
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db

MINUTE = 60
DAY = 86_400


@pytest.fixture
def pass_time(limiter_clock: LimiterClock, settings: Settings) -> Callable[[float], None]:
    """The limiter's clock stands still but for what the test adds."""
    settings.SENDS_PER_MINUTE = {"free": 3, "pro": 5}
    settings.SENDS_PER_DAY = {"free": 7, "pro": 100}

    def add(seconds: float) -> None:
        limiter_clock.now += seconds

    return add


@pytest.fixture
def person(pass_time: Callable[[float], None]) -> User:
    """Somebody whose day has just begun: it does so at another time for each person."""
    made = make_person()
    pass_time(read_rate(made).windows[1].resets_in_s)
    return made


def left(rate: RateStatus) -> tuple[int, ...]:
    """Return what is left of the minute and of the day."""
    return tuple(window.remaining for window in rate.windows)


def refused(user: User) -> dict[str, Any]:
    with pytest.raises(RateLimited) as caught:
        count_send(user)
    return caught.value.body()


def test_sends_up_to_the_minutes_limit_pass(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    assert [left(count_send(person).rate) for _ in range(3)] == [(2, 6), (1, 5), (0, 4)]
    assert refused(person)["code"] == "rate_limited"


def test_sends_up_to_the_days_limit_pass(person: User, pass_time: Callable[[float], None]) -> None:
    for _ in range(7):
        count_send(person)
        pass_time(MINUTE)
    body = refused(person)
    assert body["detail"] == {"window": "day", "limit": 7}
    pass_time(body["retryAfter"] - 1)
    refused(person)
    pass_time(1)
    assert left(count_send(person).rate) == (2, 6)


def test_a_refusal_says_when_to_try_again(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    for _ in range(3):
        count_send(person)
    body = refused(person)
    assert body["detail"] == {"window": "minute", "limit": 3}
    assert 1 <= body["retryAfter"] <= MINUTE

    pass_time(body["retryAfter"])
    count_send(person)


def test_a_refused_send_counts_in_no_window(
    person: User, pass_time: Callable[[float], None]
) -> None:
    for _ in range(3):
        count_send(person)
    for _ in range(5):
        refused(person)
    assert left(read_rate(person)) == (0, 4)
    for _ in range(4):
        pass_time(MINUTE)
        count_send(person)
    pass_time(MINUTE)
    refused(person)
    # The day refused it; the minute does not know of it.
    assert left(read_rate(person)) == (3, 0)


def test_a_send_that_is_forgotten_can_be_made_again(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    counted = [count_send(person) for _ in range(3)]
    counted[0].forget()
    assert left(read_rate(person)) == (1, 5)
    count_send(person)
    refused(person)


def test_forgetting_late_takes_nothing_from_the_next_window(
    person: User, pass_time: Callable[[float], None]
) -> None:
    counted = count_send(person)
    pass_time(MINUTE)
    count_send(person)
    counted.forget()
    assert left(read_rate(person)) == (2, 6)


def test_each_person_has_a_count_of_their_own(pass_time: Callable[[float], None]) -> None:
    person, other = make_person(), make_person()
    for _ in range(3):
        count_send(person)
    assert left(count_send(other).rate) == (2, 6)


def test_the_plan_decides_the_limits(pass_time: Callable[[float], None]) -> None:
    person = make_person(plan=Plan.PRO)
    assert [window.limit for window in count_send(person).rate.windows] == [5, 100]
    assert left(read_rate(person)) == (4, 99)


def test_whoever_is_slowed_may_send_a_quarter_and_is_told_so(
    settings: Settings, pass_time: Callable[[float], None]
) -> None:
    settings.SENDS_PER_MINUTE = {"free": 9, "pro": 9}
    settings.SENDS_PER_DAY = {"free": 100, "pro": 100}
    until = timezone.now() + timedelta(hours=1)
    person = make_person(slowed_until=until)
    assert [left(count_send(person).rate) for _ in range(2)] == [(1, 24), (0, 23)]
    body = refused(person)
    assert body["message"].startswith("You are slowed down for a while. You may send 2 messages")
    assert body["detail"]["slowedUntil"] == until.isoformat()
    person.slowed_until = timezone.now()
    assert left(count_send(person).rate) == (8, 99)


def test_reading_the_rate_counts_nothing(pass_time: Callable[[float], None]) -> None:
    person = make_person()
    assert [left(read_rate(person)) for _ in range(5)] == [(3, 7)] * 5


def test_other_requests_have_a_limit_of_their_own(
    pass_time: Callable[[float], None], settings: Settings
) -> None:
    settings.REQUESTS_PER_MINUTE = 4
    person = make_person()
    for _ in range(4):
        count_request(person)
    with pytest.raises(RateLimited) as caught:
        count_request(person)
    assert caught.value.body()["detail"] == {"window": "minute", "limit": 4}
    assert left(count_send(person).rate) == (2, 6)
    pass_time(MINUTE)
    count_request(person)


class Doors:
    """One person at both doors, with a conversation for each send."""

    def __init__(self, token: str, conversations: list[str]) -> None:
        self.token = token
        self._conversations = iter(conversations)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    async def get(self, path: str) -> Any:
        return await AsyncClient().get(f"/api/v1{path}", headers=self._headers)

    async def send_over_http(self, conversation: str | None = None, **headers: str) -> Any:
        path = f"/api/v1/conversations/{conversation or next(self._conversations)}/messages"
        return await AsyncClient().post(
            path,
            {"content": "Hi"},
            content_type="application/json",
            headers={**self._headers, **headers},
        )

    async def send_over_socket(self, socket: Any) -> dict[str, Any]:
        conversation = next(self._conversations)
        await socket.send(type="send", conversationId=conversation, content="Hi")
        answer: dict[str, Any] = await socket.receive("accepted", "error")
        return answer


@pytest.fixture
async def doors(transactional_db: None, models: None, event_log: EventLog) -> Doors:
    def make() -> Doors:
        person = make_person()
        conversations = [str(make_conversation(person).pk) for _ in range(12)]
        return Doors(create_token(person), conversations)

    return await db_call(make)


def rate_headers(response: Any) -> dict[str, str]:
    return {name: value for name, value in response.items() if name.startswith("RateLimit-")}


async def test_both_doors_count_together(pass_time: Callable[[float], None], doors: Doors) -> None:
    async with open_socket(doors.token) as socket:
        assert (await doors.send_over_http()).status_code == 202
        accepted = await doors.send_over_socket(socket)
        assert accepted["rateLimitRemaining"] == 1
        assert (await doors.send_over_http()).status_code == 202
        by_http = await doors.send_over_http()
        by_socket = await doors.send_over_socket(socket)
    assert by_http.status_code == 429
    assert by_http["Retry-After"] == str(by_http.json()["error"]["retryAfter"])
    assert by_socket["error"] == by_http.json()["error"]
    assert by_socket["error"]["code"] == "rate_limited"
    assert by_socket["error"]["retryAfter"] >= 1


async def test_what_a_send_answers_says_how_the_limits_stand(
    pass_time: Callable[[float], None], doors: Doors
) -> None:
    headers = [rate_headers(await doors.send_over_http()) for _ in range(4)]
    assert [each["RateLimit-Remaining"] for each in headers] == ["2", "1", "0", "0"]
    assert {each["RateLimit-Limit"] for each in headers} == {"3"}
    assert {each["RateLimit-Policy"] for each in headers} == {"3;w=60, 7;w=86400"}
    assert all(1 <= int(each["RateLimit-Reset"]) <= MINUTE for each in headers)


async def test_my_account_says_how_the_limits_stand(
    pass_time: Callable[[float], None], doors: Doors
) -> None:
    for _ in range(2):
        await doors.send_over_http()
    me = (await doors.get("/me")).json()
    assert (me["rateLimit"], me["rateLimitRemaining"]) == (3, 1)
    assert me["rateLimits"]["minute"]["remaining"] == 1
    assert {**me["rateLimits"]["day"], "resetsIn": 0} == {"limit": 7, "remaining": 5, "resetsIn": 0}
    assert MINUTE < me["rateLimits"]["day"]["resetsIn"] <= DAY


async def test_a_repeat_is_counted_once_and_never_refused(
    pass_time: Callable[[float], None], doors: Doors
) -> None:
    conversation = (await doors.get("/conversations")).json()["items"][0]["conversationId"]
    key = {"Idempotency-Key": "same"}
    first = await doors.send_over_http(conversation, **key)
    for _ in range(2):
        repeat = await doors.send_over_http(conversation, **key)
        assert repeat.json() == first.json()
        assert repeat["RateLimit-Remaining"] == "2"
    for _ in range(2):
        await doors.send_over_http()
    assert (await doors.send_over_http()).status_code == 429
    assert (await doors.send_over_http(conversation, **key)).json() == first.json()


async def test_tries_of_one_send_at_once_are_counted_once(
    pass_time: Callable[[float], None], doors: Doors
) -> None:
    conversation = (await doors.get("/conversations")).json()["items"][0]["conversationId"]
    async with asyncio.TaskGroup() as group:
        tries = [
            group.create_task(doors.send_over_http(conversation, **{"Idempotency-Key": "same"}))
            for _ in range(6)
        ]
    answers = [each.result() for each in tries]
    accepted = [answer.json() for answer in answers if answer.status_code == 202]
    assert accepted
    assert all(answer == accepted[0] for answer in accepted)
    # More than the limit at once: what is refused may be sent again, and is answered then.
    assert {answer.status_code for answer in answers} <= {202, 429}
    again = await doors.send_over_http(conversation, **{"Idempotency-Key": "same"})
    assert again.json() == accepted[0]
    assert again["RateLimit-Remaining"] == "2"


async def test_a_send_that_is_refused_for_another_reason_does_not_count(
    pass_time: Callable[[float], None], doors: Doors, settings: Settings
) -> None:
    # No conversation, an answer under way, no budget.
    assert (await doors.send_over_http("019c0000-0000-7000-8000-000000000000")).status_code == 404
    busy = (await doors.get("/conversations")).json()["items"][0]["conversationId"]
    assert (await doors.send_over_http(busy)).status_code == 202
    assert (await doors.send_over_http(busy)).status_code == 409
    settings.BUDGET_TOKENS = {"free": 1, "pro": 1}
    await db_call(User.objects.update, monthly_token_budget=1)
    assert (await doors.send_over_http()).status_code == 402
    me = (await doors.get("/me")).json()
    assert me["rateLimits"]["minute"]["remaining"] == 2
    assert me["rateLimits"]["day"]["remaining"] == 6


async def test_a_refused_send_is_a_request_like_any_other(
    pass_time: Callable[[float], None], doors: Doors, settings: Settings
) -> None:
    settings.REQUESTS_PER_MINUTE = 3
    nowhere = "019c0000-0000-7000-8000-000000000000"
    codes = [(await doors.send_over_http(nowhere)).status_code for _ in range(5)]
    assert codes == [404, 404, 404, 429, 429]
    assert (await doors.get("/me")).status_code == 429
    assert (await doors.send_over_http()).status_code == 202


async def test_reads_and_frames_are_counted_as_requests(
    pass_time: Callable[[float], None], doors: Doors, settings: Settings
) -> None:
    settings.REQUESTS_PER_MINUTE = 3
    generation = (await doors.send_over_http()).json()["generationId"]
    async with open_socket(doors.token) as socket:
        await socket.send(type="ping")
        await socket.receive("pong")
        await socket.send(type="stop", generationId=generation)
        assert (await doors.get("/me")).status_code == 200
        await socket.send(type="stop", generationId=generation)
        refusal = await socket.receive("error")
        assert refusal["error"]["code"] == "rate_limited"
        assert refusal["error"]["retryAfter"] >= 1
        # Sending has limits of its own.
        assert (await doors.send_over_socket(socket))["type"] == "accepted"
    response = await doors.get("/me")
    assert response.status_code == 429
    assert response["RateLimit-Limit"] == "3"
    assert response["Retry-After"]


async def test_a_socket_of_somebody_who_asks_too_much_is_told_to_come_back_later(
    pass_time: Callable[[float], None], doors: Doors, settings: Settings
) -> None:
    settings.REQUESTS_PER_MINUTE = 1
    await doors.get("/me")
    async with open_socket(doors.token) as socket:
        assert (await socket.receive())["error"]["code"] == "rate_limited"
        assert await socket.closed() == 1013
