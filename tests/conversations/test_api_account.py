"""The caller's own account, the models there are, and the documentation."""

from __future__ import annotations

import json

import pytest

from chatbot.accounts.models import User
from chatbot.accounts.suspensions import suspend
from chatbot.core.db import db_call
from chatbot.core.errors import BudgetExhausted, IdempotencyMismatch, RateLimited, Unavailable
from conversations.models import Conversation, Generation, Message
from conversations.screening import MessageRefused
from conversations.sealing import open_cipher, open_message
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.conversations.rows import put_message
from tests.factories import make_conversation, make_person
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


async def test_me_tells_plan_rate_and_budget(api: ApiClient, worker: GenerationWorker) -> None:
    conversation = await api.new_conversation()
    await api.send(conversation, "Hi")
    after = (await api.call("get", "/me")).json()
    assert after["plan"] == "free"
    # A minute may have ended between the two.
    assert after["rateLimit"] - after["rateLimitRemaining"] in {0, 1}
    generation = await db_call(Generation.objects.get)
    spent = generation.input_tokens + generation.cached_tokens + generation.output_tokens
    assert after["budget"]["spent"] == spent > 0
    assert after["budget"]["reserved"] == 0


async def test_custom_instructions_reach_the_model(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    changed = await api.call("patch", "/me", {"customInstructions": "Answer in French."})
    assert changed.json()["customInstructions"] == "Answer in French."
    await api.send(await api.new_conversation(), "Hi")
    assert "Answer in French." in provider.requests()[-1]["raw"]


async def test_models_are_listed_with_a_default(api: ApiClient, models: None) -> None:
    listed = (await api.call("get", "/models")).json()
    assert listed["default"] in [item["name"] for item in listed["items"]]


async def test_everything_of_mine_can_be_exported_and_erased(
    api: ApiClient, user: User, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    provider.script(text="An answer to keep")
    conversation = await api.new_conversation()
    await api.send(conversation, "A question to keep")
    response = await api.call("get", "/me/export")
    document = json.loads(b"".join([chunk async for chunk in response]))
    said = [message["content"] for message in document["conversations"][0]["messages"]]
    assert said == ["A question to keep", "An answer to keep"]
    assert document["user"]["email"] == user.email
    (usage,) = document["usage"]
    (asked,) = provider.requests()
    assert (usage["purpose"], usage["model"], usage["calls"]) == ("answer", "smollm2-135m", 1)
    assert usage["inputTokens"] == asked["input_tokens"]
    assert usage["outputTokens"] == asked["output_tokens"]
    assert usage["costMicros"] == 0

    assert (await api.call("delete", "/me")).status_code == 204
    assert (await api.call("get", "/me")).status_code == 401
    assert not await db_call(Message.objects.exists)
    assert not await db_call(User.objects.filter(pk=user.pk).exists)


async def test_nothing_of_anybody_else_is_exported_or_erased(api: ApiClient, models: None) -> None:
    def begin_theirs() -> Conversation:
        conversation = make_conversation(make_person())
        put_message(conversation, 1, "Not yours")
        return conversation

    theirs = await db_call(begin_theirs)
    mine = await api.new_conversation()
    response = await api.call("get", "/me/export")
    document = json.loads(b"".join([chunk async for chunk in response]))
    assert [one["conversationId"] for one in document["conversations"]] == [mine]
    assert (await api.call("delete", "/me")).status_code == 204
    left = await db_call(lambda: Message.objects.select_related("conversation__user").get())
    assert left.conversation == theirs
    assert open_message(open_cipher(left.conversation), left) == "Not yours"


async def test_who_is_suspended_can_still_take_out_and_erase_what_is_theirs(
    api: ApiClient, user: User, models: None
) -> None:
    await api.new_conversation()
    await db_call(suspend, user.pk, by="system", reason="Too often.", until=None)
    response = await api.call("get", "/me/export")
    document = json.loads(b"".join([chunk async for chunk in response]))
    assert len(document["conversations"]) == 1
    assert (await api.call("delete", "/me")).status_code == 204
    assert not await db_call(User.objects.filter(pk=user.pk).exists)
    assert not await db_call(Conversation.objects.exists)


async def test_the_documentation_is_there(api: ApiClient) -> None:
    assert (await api.http.get("/api/v1/docs")).status_code == 200
    schema = (await api.http.get("/api/v1/openapi.json")).json()
    operation = schema["paths"]["/api/v1/conversations/{conversation_id}/messages"]["post"]
    assert {"200", "202"} <= operation["responses"].keys()


async def test_the_documentation_names_every_refusal_of_every_call(api: ApiClient) -> None:
    schema = (await api.http.get("/api/v1/openapi.json")).json()
    operations = [call for path in schema["paths"].values() for call in path.values()]
    assert operations
    for error in (BudgetExhausted, IdempotencyMismatch, MessageRefused, RateLimited, Unavailable):
        for operation in operations:
            assert error.code in operation["responses"][str(error.status)]["description"]
    refused = operations[0]["responses"]["429"]["content"]["application/json"]["schema"]
    body = schema["components"]["schemas"][refused["$ref"].rsplit("/", 1)[-1]]
    detail = schema["components"]["schemas"][body["properties"]["error"]["$ref"].rsplit("/", 1)[-1]]
    assert {"code", "message", "retryAfter"} <= detail["properties"].keys()
