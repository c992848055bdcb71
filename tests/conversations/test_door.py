"""Who may join a line, and what is done so that fewer have to wait in it."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django import Settings

from chatbot.accounts.budgets import read_budget
from chatbot.accounts.limits import read_rate
from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations.eventlog import EventLog
from conversations.models import Generation, Message
from conversations.queueboard import QueueBoard
from llm.admission.load import NAME, LaneLoad, encode
from llm.conf import get_load, get_slots
from tests.conversations.conftest import ApiClient
from tests.conversations.lanes import enqueue
from tests.conversations.rows import fill_line
from tests.conversations.workers import working
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


async def publish_line(event_log: EventLog) -> None:
    await QueueBoard(event_log, get_slots(), "test").post()
    # It is read once a second at most.
    get_load.cache_clear()


def announce_line(lane: str, *, wait_s: float) -> None:
    """Publish a line without anybody in it."""
    now = timezone.now().timestamp()
    load = LaneLoad({"free": 10}, 10 / wait_s, [(now - 60, 10)], virtual=now, at=now, speed=1.0)
    get_slots().publish(NAME, encode({lane: load}), keep_ms=60_000)
    get_load.cache_clear()


async def test_beyond_the_bound_a_send_is_refused_before_anything_is_counted(
    api: ApiClient, user: User, models: None, event_log: EventLog, settings: Settings
) -> None:
    settings.QUEUE_LIMIT = 3
    conversation = await api.new_conversation()
    await fill_line(user, 3)
    await publish_line(event_log)

    def counters() -> tuple[object, ...]:
        return (
            [window.remaining for window in read_rate(user).windows],
            read_budget(user, now=timezone.now()),
            Message.objects.count(),
            Generation.objects.count(),
        )

    before = await db_call(counters)
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "Hi"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "busy")
    assert error["retryAfter"] >= 1
    assert int(response["Retry-After"]) == error["retryAfter"]
    assert await db_call(counters) == before


async def test_a_wait_beyond_patience_is_refused_and_others_are_not(
    api: ApiClient, user: User, models: None, event_log: EventLog, settings: Settings
) -> None:
    # Nothing is known of how fast the line moves: ten seconds each, one at a time.
    settings.QUEUE_PATIENCE_S = 25
    conversation = await api.new_conversation()
    await fill_line(user, 4)
    await publish_line(event_log)
    path = f"/conversations/{conversation}/messages"
    assert (await api.call("post", path, {"content": "Hi"})).status_code == 503
    settings.QUEUE_PATIENCE_S = 45
    assert await api.enqueue(conversation, "Hi")


async def test_the_next_sends_count_before_the_line_is_looked_at_again(
    api: ApiClient, user: User, models: None, event_log: EventLog, settings: Settings
) -> None:
    settings.QUEUE_LIMIT = 5
    await fill_line(user, 3)
    await publish_line(event_log)
    conversations = [await api.new_conversation() for _ in range(3)]
    sent = [
        (
            await api.call(
                "post",
                f"/conversations/{one}/messages",
                {"content": "Hi"},
                accept="application/json",
            )
        ).status_code
        for one in conversations
    ]
    assert sent == [202, 202, 503]


async def test_a_retried_send_is_never_refused_for_a_line(
    api: ApiClient, user: User, models: None, event_log: EventLog, settings: Settings
) -> None:
    conversation = await api.new_conversation()
    key = {"idempotency-key": "the-same"}
    first = await api.enqueue(conversation, "Hi", **key)
    settings.QUEUE_LIMIT = 1
    await publish_line(event_log)
    assert await api.enqueue(conversation, "Hi", **key) == first


async def test_auto_turns_to_a_cheaper_model_while_the_line_is_long(
    api: ApiClient, user: User, two_lanes: None, event_log: EventLog
) -> None:
    asked = (
        "Prove step by step that the square root of two is irrational, then derive it in Python."
    )
    before = await enqueue(api, "auto", asked)
    assert (
        await db_call(Generation.objects.get, pk=before["generationId"])
    ).routed_model == "first"
    announce_line("first", wait_s=30)
    after = await db_call(
        Generation.objects.get, pk=(await enqueue(api, "auto", asked))["generationId"]
    )
    assert (after.routed_model, after.route_reason) == ("second", "others are busy")
    # Who chose a model gets it, and waits.
    chosen = await enqueue(api, "first", asked)
    assert (
        await db_call(Generation.objects.get, pk=chosen["generationId"])
    ).routed_model == "first"


async def test_while_the_line_is_long_an_answer_gets_a_shorter_context(
    api: ApiClient, user: User, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    async with working(event_log, "only", concurrency=1):
        for _ in range(3):
            await api.send(conversation, "area " * 1_250)
        assert len(provider.requests()[-1]["body"]["messages"]) == 5
        announce_line("local", wait_s=30)
        await api.send(conversation, "area " * 1_250)
    # The question is whole, and one exchange is left before it.
    assert len(provider.requests()[-1]["body"]["messages"]) == 3
