"""What is deleted at the moment in which it is asked, answered or paid for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from django.test import AsyncClient
from django.urls import reverse
from pytest_django import Settings

from chatbot.accounts.ledger import record_calls
from chatbot.accounts.models import BudgetPeriod, LedgerEntry, Purpose, User
from chatbot.audit.models import AuditEntry
from chatbot.core.db import DatabaseAway, db_call
from chatbot.core.errors import ChatError
from conversations.balance import read_balances
from conversations.changes import delete_conversation
from conversations.claims import LeaseLost, claim_waiting
from conversations.events import SendRequest
from conversations.export import erase_person
from conversations.generations import Outcome
from conversations.models import Conversation, Generation, State
from conversations.queries import ConversationNotFound
from conversations.turns import start_turn
from llm.pricing import Call
from llm.types import Usage
from tests.conversations.rows import finish_claim, queue_generation
from tests.factories import make_conversation, make_person

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("event_log", "models"),
]

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
ROUNDS = 15
CALL = Call("m", "p", Usage(10, 20), 7, is_metered=True, ending="finished")
DONE = Outcome(State.COMPLETED, "Hello", 5, calls=(CALL,))
# What `queue_generation` reserves.
WORST = 1_000


def uneven() -> list[str]:
    return [str(one) for _, some in read_balances() for one in some]


def finish(claim: Any) -> bool:
    try:
        finish_claim(claim, DONE)
    except (LeaseLost, Generation.DoesNotExist):
        return False
    return True


async def test_an_answer_that_ends_while_it_is_deleted_is_charged_once(user: User) -> None:
    expected = 0
    for number in range(ROUNDS):
        generation = await db_call(queue_generation, user)
        (claim,) = await db_call(claim_waiting, "one", 1)
        async with asyncio.TaskGroup() as group:
            finishing = group.create_task(db_call(finish, claim))
            if number % 3:
                await asyncio.sleep(0.0005 * number)
            group.create_task(delete_conversation(user, generation.conversation_id))
        expected += CALL.usage.total_tokens if finishing.result() else WORST
    period = await db_call(BudgetPeriod.objects.get, user=user)
    assert (period.reserved, period.spent) == (0, expected)
    assert await db_call(LedgerEntry.objects.count) == ROUNDS
    assert await db_call(uneven) == []


async def test_a_message_that_meets_its_conversations_deletion_leaves_nothing_reserved(
    user: User, settings: Settings
) -> None:
    settings.SENDS_PER_MINUTE = {"free": 10**6, "pro": 10**6}

    async def send(conversation: Conversation) -> None:
        with suppress(ConversationNotFound):
            request = SendRequest(content="Hello")
            await start_turn(user, conversation.pk, request, idempotency_key=None)

    for number in range(ROUNDS):
        conversation = await db_call(make_conversation, user)
        async with asyncio.TaskGroup() as group:
            group.create_task(send(conversation))
            if number % 3:
                await asyncio.sleep(0.0005 * number)
            group.create_task(delete_conversation(user, conversation.pk))
    assert not await db_call(Generation.objects.exists)
    assert not await db_call(BudgetPeriod.objects.filter(reserved__gt=0).exists)
    assert await db_call(uneven) == []


async def test_an_account_that_is_erased_at_work_leaves_nobody_in_the_ledger(
    settings: Settings,
) -> None:
    settings.SENDS_PER_MINUTE = {"free": 10**6, "pro": 10**6}

    async def send(person: User, conversation: Conversation) -> None:
        with suppress(ChatError, *DatabaseAway):
            request = SendRequest(content="Hello")
            await start_turn(person, conversation.pk, request, idempotency_key=None)

    for number in range(ROUNDS):
        person = await db_call(make_person)
        waiting = await db_call(make_conversation, person)
        await db_call(queue_generation, person)
        (claim,) = await db_call(claim_waiting, "one", 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(db_call(finish, claim))
            group.create_task(send(person, waiting))
            group.create_task(db_call(record_calls, person, Purpose.TITLE, [CALL]))
            if number % 3:
                await asyncio.sleep(0.0005 * number)
            group.create_task(erase_person(person))
    assert not await db_call(User.objects.exists)
    assert not await db_call(Generation.objects.exists)
    assert not await db_call(LedgerEntry.objects.filter(user__isnull=False).exists)
    # A title and an answer for each, and perhaps one that had been asked for meanwhile.
    assert ROUNDS * 2 <= await db_call(LedgerEntry.objects.count) <= ROUNDS * 3


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_who_is_deleted_in_the_admin_leaves_nothing_reserved_and_nothing_running(
    user: User, async_client: AsyncClient, is_bulk: bool
) -> None:
    generation = await db_call(queue_generation, user)
    (claim,) = await db_call(claim_waiting, "one", 1)
    staff = await db_call(make_person, is_staff=True, is_superuser=True)
    await async_client.aforce_login(staff, backend=BACKEND)
    if is_bulk:
        address = reverse("admin:accounts_user_changelist")
        chosen = {"action": "delete_selected", "_selected_action": str(user.pk), "post": "yes"}
    else:
        address = reverse("admin:accounts_user_delete", args=(user.pk,))
        chosen = {"post": "yes"}
    assert (await async_client.post(address, chosen)).status_code == 302
    await db_call(assert_nothing_is_left, user.pk, generation, claim)


def assert_nothing_is_left(person: UUID, generation: Generation, claim: Any) -> None:
    assert not User.objects.filter(pk=person).exists()
    assert not Conversation.objects.filter(pk=generation.conversation_id).exists()
    # What a worker had begun is charged, though nobody's name is on it any more.
    assert LedgerEntry.objects.get().user_id is None
    assert not finish(claim)
    entry = AuditEntry.objects.filter(action="user.deleted").get()
    assert entry.subject == f"user:{person}"
