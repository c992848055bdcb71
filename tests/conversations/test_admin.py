"""Staff see every model's numbers and states, and never what people said."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chatbot.accounts.budgets import reserve_tokens
from chatbot.accounts.instructions import write_instructions
from chatbot.accounts.models import ApiToken, BudgetPeriod, User
from chatbot.accounts.sanctions import AccountWarning, Suspension
from chatbot.accounts.suspensions import appeal, suspend, warn
from chatbot.accounts.tokens import create_token
from chatbot.audit.log import record
from chatbot.audit.models import AuditEntry
from chatbot.audit.naming import name_of
from conversations.models import Conversation, Generation, Message, ModelOverride, Worker
from conversations.sealing import open_cipher, seal_column, seal_comment
from conversations.workers import WorkerLoad, report_worker
from moderation.models import ModerationEvent
from tests.conversations.rows import put_generation, put_message
from tests.desk.events import put_event
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "canary"
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
KNOWN = {User, ApiToken, BudgetPeriod, EmailAddress, Authenticator}
KNOWN |= {Conversation, Generation, ModelOverride, Worker, AuditEntry, ModerationEvent}
KNOWN |= {Suspension, AccountWarning}
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def secrets(user: User) -> list[str]:
    """Give a person something in every place that holds content; return what none may see."""
    write_instructions(user, f"{CANARY} instructions")
    conversation = make_conversation(user, title=f"{CANARY} title")
    cipher = open_cipher(conversation)
    prompt = seal_column(cipher, conversation.pk, "system_prompt", f"{CANARY} prompt")
    Conversation.objects.filter(pk=conversation.pk).update(system_prompt_sealed=prompt)
    put_message(conversation, 1, f"{CANARY} question")
    answer = put_message(conversation, 2, f"{CANARY} answer", parent=1)
    comment = seal_comment(cipher, answer, f"{CANARY} comment")
    Message.objects.filter(seq=2).update(feedback="up", feedback_comment_sealed=comment)
    put_generation(conversation, answer, state="completed", finished=timezone.now())
    reserve_tokens(user, 10, now=timezone.now())
    # Its own page shows what was said, to whoever claims it: see tests/desk.
    put_event(user, text="plain words")
    report_worker(WorkerLoad("host:1:a", 1, 4, is_draining=False))
    ModelOverride.objects.create(name="smollm2-135m")
    token = create_token(user, label="laptop")
    record(name_of(user), "user.changed", name_of(user), changes={"plan": ["free", "pro"]})
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    warn(user.pk, by="system", text="Please do not.")
    suspend(user.pk, by="system", reason="Too often.", until=None)
    appeal(user.pk, text=f"{CANARY} appeal")
    secret = get_adapter().encrypt(f"{CANARY} two-factor")
    Authenticator.objects.create(user=user, type="totp", data={"secret": secret})
    return [CANARY, token, ApiToken.objects.get().digest, user.password]


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(make_person(is_staff=True, is_superuser=True), backend=BACKEND)
    return client


def see(client: Client, address: str, secrets: list[str]) -> str:
    response = client.get(address)
    assert response.status_code == 200, (address, response.status_code)
    page = response.content.decode()
    for secret in secrets:
        assert secret not in page, (address, secret)
    # Neither sealed: a field of bytes would be shown as such.
    assert not re.search(r"(b&#x27;|memoryview|&lt;memory)", page)
    return page


def address_of(model: type[Model], page: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def test_what_the_admin_shows_is_what_is_looked_at_here() -> None:
    assert set(MODELS) == KNOWN


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_lists_and_details_are_shown_without_content(
    model: type[Model], staff: Client, secrets: list[str]
) -> None:
    see(staff, address_of(model, "changelist"), secrets)
    rows = list(model._default_manager.all())
    assert rows
    for row in rows:
        if isinstance(row, User) and row.is_staff:
            continue
        see(staff, address_of(model, "change", row.pk), secrets)
        see(staff, address_of(model, "history", row.pk), secrets)


def test_the_list_of_conversations_counts_no_messages(staff: Client, user: User) -> None:
    Conversation.objects.filter(pk=make_conversation(user).pk).update(next_seq=42)
    with CaptureQueriesContext(connection) as captured:
        page = staff.get(address_of(Conversation, "changelist")).content.decode()
    assert re.search(r"field-message_count[^>]*>\s*41\s*<", page)
    assert not any("conversations_message" in one["sql"] for one in captured)


@pytest.mark.parametrize("model", [User, Conversation, Generation, BudgetPeriod, ApiToken])
def test_a_person_is_found_by_address(
    model: type[Model], staff: Client, user: User, secrets: list[str]
) -> None:
    address = address_of(model, "changelist")
    assert user.email in see(staff, f"{address}?q={user.email}", secrets)
    assert user.email not in see(staff, f"{address}?q=nobody", secrets)


@pytest.mark.parametrize("model", [Conversation, Generation])
def test_what_people_said_can_be_neither_made_changed_nor_deleted(
    model: type[Model], staff: Client, secrets: list[str]
) -> None:
    row = model._default_manager.get()
    assert staff.get(address_of(model, "add")).status_code == 403
    assert staff.post(address_of(model, "change", row.pk), {"pinned": "on"}).status_code == 403
    assert staff.post(address_of(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert model._default_manager.get() == row


def test_the_front_page_shows_no_content(staff: Client, secrets: list[str]) -> None:
    see(staff, reverse("admin:index"), secrets)


def test_others_are_not_let_in(user: User, secrets: list[str]) -> None:
    client = Client()
    client.force_login(user, backend=BACKEND)
    for model in MODELS:
        assert client.get(address_of(model, "changelist")).status_code in {302, 403}
