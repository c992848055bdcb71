"""Who answers a message: decided when it is accepted, kept, and shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from chatbot.accounts.models import BudgetPeriod, User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations import turns
from conversations.eventlog import EventLog
from conversations.events import SendRequest
from conversations.models import Conversation, Generation, Message
from conversations.worker import GenerationWorker
from llm.conf import get_registry, set_local_endpoint, set_overrides
from llm.overrides import Override
from tests.conversations.conftest import ApiClient
from tests.factories import make_conversation
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame

pytestmark = pytest.mark.django_db(transaction=True)

HAIKU, SONNET, OPUS = (f"claude-{name}-5-5" for name in ("haiku", "sonnet", "opus"))
CODE = "Write a Python function that merges two sorted lists."


@pytest.fixture
async def models(provider: ScriptedProvider, settings: Settings) -> AsyncIterator[None]:
    """Make the scripted provider the hosted one, with a model of each tier, and the local one."""
    settings.ANTHROPIC_API_KEY = settings.LOCAL_MODEL_API_KEY = "scripted"
    settings.ANTHROPIC_BASE_URL = settings.LOCAL_MODEL_URL = provider.url
    set_local_endpoint(None)
    yield
    set_overrides({})
    await get_registry().aclose()
    set_local_endpoint(None)


async def kept(reference: dict[str, str]) -> Generation:
    return await db_call(Generation.objects.get, pk=reference["generationId"])


async def answer_now(api: ApiClient, log: EventLog, reference: dict[str, str]) -> list[Frame]:
    """Let a worker begin only now, and read the answer to its end."""
    worker = GenerationWorker(owner="late", concurrency=1, log=log)
    working = spawn(worker.run(), name="late worker")
    path = f"/generations/{reference['generationId']}/events"
    frames = [frame async for frame in api.stream("get", path)]
    await worker.drain(grace_s=5)
    await working
    return frames


async def answers(api: ApiClient, conversation: str) -> list[Any]:
    read = await api.read(conversation)
    return [message for message in read["messages"] if message["role"] == "assistant"]


async def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == code
    assert await db_call(Message.objects.count) == 0
    return error


@pytest.mark.parametrize(
    ("text", "model", "reason"),
    [("Good morning!", HAIKU, "simple question"), (CODE, SONNET, "code")],
)
async def test_a_message_is_routed_when_it_is_accepted_and_answered_by_that_model(
    api: ApiClient,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    text: str,
    model: str,
    reason: str,
) -> None:
    conversation = await api.new_conversation()
    frames = await api.send(conversation, text)
    assert frames[-1].data["message"]["routeReason"] == reason
    assert provider.requests()[-1]["body"]["model"] == model
    generation = await db_call(Generation.objects.get)
    assert (generation.routed_model, generation.model) == (model, model)
    assert generation.route_reason == reason
    (answer,) = await answers(api, conversation)
    assert (answer["model"], answer["routeReason"]) == (model, reason)


async def test_the_reason_is_known_while_the_answer_waits(api: ApiClient, models: None) -> None:
    conversation = await api.new_conversation()
    await api.enqueue(conversation, CODE)
    read = await api.read(conversation)
    assert [message["routeReason"] for message in read["messages"]] == [None, "code"]


async def test_what_was_chosen_by_name_answers(api: ApiClient, models: None) -> None:
    conversation = await api.new_conversation(model=HAIKU)
    generation = await kept(await api.enqueue(conversation, CODE))
    assert (generation.routed_model, generation.route_reason) == (HAIKU, "chosen by name")


async def send_all(api: ApiClient, *texts: str) -> list[tuple[str, str]]:
    conversation = await api.new_conversation()
    for text in texts:
        await api.send(conversation, text)
    rows = await db_call(list, Generation.objects.order_by("answer_seq"))
    return [(row.routed_model, row.route_reason) for row in rows]


async def test_a_smart_model_goes_on_for_three_answers_and_then_no_more(
    api: ApiClient, worker: GenerationWorker
) -> None:
    routed = await send_all(api, "Good morning!", CODE, "and in place?", "ok", "thanks", "bye")
    assert routed == [
        (HAIKU, "simple question"),
        (SONNET, "code"),
        *[(SONNET, "follow-up")] * 3,
        (HAIKU, "simple question"),
    ]


async def test_each_question_that_needs_one_keeps_the_smart_model_further(
    api: ApiClient, worker: GenerationWorker
) -> None:
    texts = ("why?", "ok", CODE, "why?", "ok", "fine")
    routed = await send_all(api, CODE, *texts)
    assert {model for model, _ in routed} == {SONNET}


async def test_an_answer_that_is_written_again_is_routed_by_its_question(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    await api.send(conversation, CODE)
    await db_call(Conversation.objects.update, smart_until=0)
    path = f"/conversations/{conversation}/messages/2/regenerate"
    _ = [frame async for frame in api.stream("post", path, {})]
    again = await db_call(Generation.objects.get, answer_seq=3)
    assert (again.model, again.route_reason) == (SONNET, "code")
    assert (await db_call(Conversation.objects.get)).smart_until == 9


async def test_a_budget_that_is_nearly_used_leaves_the_fast_model(
    api: ApiClient, user: User, models: None, settings: Settings
) -> None:
    settings.BUDGET_TOKENS = {"free": 100_000, "pro": 100_000}
    first = await kept(await api.enqueue(await api.new_conversation(), CODE))
    assert first.routed_model == SONNET
    await db_call(BudgetPeriod.objects.update, spent=92_000, reserved=0)
    second = await kept(await api.enqueue(await api.new_conversation(), CODE))
    assert (second.routed_model, second.route_reason) == (HAIKU, "budget nearly used")


async def test_a_model_outside_the_plan_is_refused_everywhere(
    api: ApiClient, user: User, models: None
) -> None:
    created = await api.call("post", "/conversations", {"model": OPUS})
    error = await refused(created, 403, "model_not_in_plan")
    assert error["detail"] == {"model": OPUS, "plans": ["pro"]}
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}"
    await refused(await api.call("patch", path, {"model": OPUS}), 403, "model_not_in_plan")
    body = {"content": "Hi", "model": OPUS}
    sent = await api.call("post", f"{path}/messages", body)
    await refused(sent, 403, "model_not_in_plan")
    # One who had the plan when the conversation began, and has it no more.
    await db_call(Conversation.objects.update, model=OPUS)
    sent = await api.call("post", f"{path}/messages", {"content": "Hi"})
    await refused(sent, 403, "model_not_in_plan")

    await db_call(User.objects.filter(pk=user.pk).update, plan="pro")
    generation = await kept(await api.enqueue(conversation, "Hi"))
    assert generation.routed_model == OPUS


async def test_the_list_of_models_says_what_is_in_the_plan_and_what_reasons_mean(
    api: ApiClient, models: None
) -> None:
    listed = (await api.call("get", "/models")).json()
    in_plan = {item["name"]: item["inPlan"] for item in listed["items"]}
    assert in_plan == {"smollm2-135m": True, HAIKU: True, SONNET: True, OPUS: False}
    assert listed["reasons"]["code"] == "Code goes to a model that is good at it."


async def test_a_model_that_is_switched_off_is_not_offered_refused_and_routed_around(
    api: ApiClient, models: None
) -> None:
    conversation = await api.new_conversation(model=SONNET)
    set_overrides({SONNET: Override(is_off=True)})
    listed = (await api.call("get", "/models")).json()
    assert SONNET not in [item["name"] for item in listed["items"]]
    path = f"/conversations/{conversation}/messages"
    sent = await api.call("post", path, {"content": "Hi"})
    await refused(sent, 400, "model_switched_off")
    routed = await kept(await api.enqueue(await api.new_conversation(), CODE))
    assert (routed.routed_model, routed.route_reason) == (HAIKU, "only model here")


async def test_limits_of_operators_hold_for_new_messages(
    api: ApiClient, models: None, provider: ScriptedProvider
) -> None:
    before = await kept(await api.enqueue(await api.new_conversation(), "Good morning!"))
    set_overrides({HAIKU: Override(answer_tokens=100)})
    after = await kept(await api.enqueue(await api.new_conversation(), "Good morning!"))
    assert before.reserved_tokens - after.reserved_tokens == 4_096 - 100


async def test_an_answer_that_is_being_written_outlives_its_model_being_switched_off(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["half ", "whole"], "hold_after": 1})
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    text = ""
    async for frame in api.stream("post", path, {"content": CODE}):
        if frame.event == "delta":
            text += frame.data["text"]
            set_overrides({SONNET: Override(is_off=True), HAIKU: Override(is_off=True)})
            provider.release()
    assert text == "half whole"
    (answer,) = await answers(api, conversation)
    assert (answer["status"], answer["model"]) == ("complete", SONNET)


@pytest.mark.parametrize(("off", "model"), [((SONNET,), HAIKU), ((SONNET, HAIKU), "smollm2-135m")])
async def test_a_model_that_went_before_its_answer_began_has_a_stand_in(
    api: ApiClient,
    models: None,
    event_log: EventLog,
    off: tuple[str, ...],
    model: str,
) -> None:
    conversation = await api.new_conversation()
    reference = await api.enqueue(conversation, CODE)
    set_overrides({name: Override(is_off=True) for name in off})
    frames = await answer_now(api, event_log, reference)
    assert frames[-1].data["message"]["model"] == model
    generation = await kept(reference)
    assert (generation.routed_model, generation.route_reason) == (SONNET, "stand-in")


async def test_without_any_model_left_the_answer_fails_with_a_typed_error(
    api: ApiClient, models: None, event_log: EventLog
) -> None:
    reference = await api.enqueue(await api.new_conversation(), CODE)
    set_overrides({spec.name: Override(is_off=True) for spec in get_registry().models()})
    frames = await answer_now(api, event_log, reference)
    assert frames[-1].data["error"]["code"] == "unknown_model"


@pytest.mark.parametrize(("requested", "model"), [("auto", SONNET), (HAIKU, HAIKU)])
async def test_what_an_older_release_accepted_is_answered_as_it_was(
    api: ApiClient,
    models: None,
    event_log: EventLog,
    requested: str,
    model: str,
) -> None:
    reference = await api.enqueue(await api.new_conversation(), "Good morning!")
    await db_call(Generation.objects.update, requested_model=requested, routed_model="")
    frames = await answer_now(api, event_log, reference)
    assert frames[-1].data["message"]["model"] == model


async def test_routing_adds_no_statement_to_a_message(user: User, models: None) -> None:
    async def count(model: str | None) -> int:
        conversation = await db_call(make_conversation, user)
        request = SendRequest(content=CODE)
        ask = turns._ask(user, conversation.pk, model, None, "send")

        def commit() -> list[str]:
            with CaptureQueriesContext(connection) as queries:
                turns._commit_once(ask, lambda row: turns._draft_question(row, request))
            return [query["sql"] for query in queries]

        statements = await db_call(commit)
        assert not [sql for sql in statements if "modeloverride" in sql]
        return len(statements)

    await count("auto")  # The month's budget is made.
    assert await count("auto") == await count(HAIKU)
