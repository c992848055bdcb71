"""How long an answer may get, and who is let in, with little of a month's budget left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pytest_django import Settings

from chatbot.accounts.models import BudgetPeriod, LedgerEntry, User
from chatbot.core.db import db_call
from chatbot.core.errors import BudgetExhausted
from conversations.context import least_answer
from conversations.eventlog import EventLog
from conversations.events import SendRequest
from conversations.models import Generation, State
from conversations.turns import start_turn
from tests.conversations.conftest import ApiClient
from tests.conversations.working import running_worker
from tests.factories import make_conversation
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("event_log")]

SENDS, ROOM = 200, 10
HELLO = "Hello there"


@pytest.mark.parametrize(
    ("longest", "least"), [(1_024, 512), (4_096, 512), (16_384, 2_048), (300, 300)]
)
def test_a_decent_answer_is_some_hundred_tokens_or_a_share_of_the_longest(
    longest: int, least: int
) -> None:
    assert least_answer(longest) == least


async def limit(user: User, tokens: int) -> None:
    user.monthly_token_budget = tokens
    await db_call(user.save, update_fields=["monthly_token_budget"])


async def worst_case(api: ApiClient) -> Generation:
    """Return a send that was accepted in full, and stopped before it began."""
    reference = await api.enqueue(await api.new_conversation(), HELLO)
    await api.call("post", f"/generations/{reference['generationId']}/stop")
    return await db_call(Generation.objects.get, pk=reference["generationId"])


async def test_the_whole_answer_is_reserved_where_there_is_room(
    api: ApiClient, models: None
) -> None:
    generation = await worst_case(api)
    assert generation.max_output == 1_024
    # "Hello there", the system prompt, and what a template puts around each.
    assert 15 < generation.reserved_tokens - 1_024 < 60


async def test_with_little_left_the_answer_may_not_get_as_long(
    api: ApiClient, user: User, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    worst = await worst_case(api)
    prompt = worst.reserved_tokens - 1_024
    await limit(user, prompt + 700)
    async with running_worker(event_log):
        frames = await api.send(await api.new_conversation(), HELLO)
    assert frames[-1].event == "done"
    assert provider.requests()[-1]["body"]["max_tokens"] == 700
    generation = await db_call(Generation.objects.latest, "created")
    assert (generation.max_output, generation.reserved_tokens) == (700, prompt + 700)


async def test_an_open_answer_leaves_room_for_another(
    api: ApiClient, user: User, models: None
) -> None:
    worst = await worst_case(api)
    await limit(user, 2 * worst.reserved_tokens - 200)
    caps = []
    for _ in range(2):
        reference = await api.enqueue(await api.new_conversation(), HELLO)
        one = await db_call(Generation.objects.get, pk=reference["generationId"])
        caps.append(one.max_output)
    assert caps == [1_024, 824]


async def test_too_little_for_a_decent_answer_is_refused_with_what_is_missing(
    api: ApiClient, user: User, models: None
) -> None:
    worst = await worst_case(api)
    prompt = worst.reserved_tokens - 1_024
    await limit(user, prompt + 511)
    path = f"/conversations/{await api.new_conversation()}/messages"
    response = await api.call("post", path, {"content": HELLO})
    assert response.status_code == 402
    error = response.json()["error"]
    assert error["message"].startswith("What is left of this month's token budget")
    assert error["detail"]["needed"] == prompt + 512
    assert error["detail"]["remaining"] == prompt + 511
    assert int(response["Retry-After"]) == error["retryAfter"] > 0


async def test_what_the_release_before_accepted_gets_the_models_longest(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    reference = await api.enqueue(await api.new_conversation(), HELLO)
    rows = Generation.objects.filter(pk=reference["generationId"])
    await db_call(rows.update, max_output=None)
    events = f"/generations/{reference['generationId']}/events"
    async with running_worker(event_log):
        frames = [frame async for frame in api.stream("get", events)]
    assert frames[-1].event == "done"
    assert provider.requests()[-1]["body"]["max_tokens"] == 1_024


async def test_parallel_sends_are_accepted_as_far_as_the_budget_goes(
    api: ApiClient,
    user: User,
    models: None,
    event_log: EventLog,
    provider: ScriptedProvider,
    settings: Settings,
) -> None:
    settings.SENDS_PER_MINUTE = {"free": 10**6, "pro": 10**6}
    worst = await worst_case(api)
    await limit(user, ROOM * worst.reserved_tokens)
    provider.script(tokens=30)
    conversations = [await db_call(make_conversation, user) for _ in range(SENDS)]
    accepted: list[Any] = []

    async def send(conversation: Any) -> None:
        request = SendRequest(content=HELLO)
        try:
            turn = await start_turn(user, conversation.pk, request, idempotency_key=None)
        except BudgetExhausted:
            return
        accepted.append(turn.generation_id)

    async with asyncio.TaskGroup() as group:
        for conversation in conversations:
            group.create_task(send(conversation))
    assert len(accepted) == ROOM
    period = await db_call(BudgetPeriod.objects.get, user=user)
    assert (period.reserved, period.spent) == (ROOM * worst.reserved_tokens, 0)

    async with running_worker(event_log):
        for generation_id in accepted:
            events = f"/generations/{generation_id}/events"
            frames = [frame async for frame in api.stream("get", events)]
            assert frames[-1].event == "done"
    period = await db_call(BudgetPeriod.objects.get, user=user)
    entries = await db_call(lambda: list(LedgerEntry.objects.filter(user=user)))
    assert len(entries) == ROOM
    asked = provider.requests()
    told = sum(one["input_tokens"] + one["output_tokens"] for one in asked)
    assert (period.reserved, period.spent) == (0, told)
    assert sum(one.tokens for one in entries) == told
    states = await db_call(lambda: set(Generation.objects.values_list("state", flat=True)))
    assert states == {State.COMPLETED, State.STOPPED}
