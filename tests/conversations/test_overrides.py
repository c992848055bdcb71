"""Overrides of models: checked in admin, audited there, and taken up by running processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.models import ModelOverride
from conversations.overrides import follow_overrides
from llm import conf
from llm.catalog import ModelSpec
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
LOOKS = 2_000


@pytest.fixture(autouse=True)
def hosted(settings: Settings) -> Iterator[None]:
    settings.ANTHROPIC_API_KEY = "k"
    settings.LOCAL_MODEL_URL = ""
    conf.set_local_endpoint(None)
    yield
    conf.set_overrides({})
    conf.set_local_endpoint(None)


@asynccontextmanager
async def following() -> AsyncIterator[None]:
    task = spawn(follow_overrides(every_s=0.01), name="follower under test")
    try:
        yield
    finally:
        assert not task.done()
        task.cancel()


def offered() -> dict[str, ModelSpec]:
    return {spec.name: spec for spec in conf.get_registry().models()}


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(LOOKS):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def test_a_running_process_takes_up_what_changes_and_what_is_taken_back() -> None:
    async with following():
        row = await db_call(ModelOverride.objects.create, name=SONNET, is_off=True)
        await until(lambda: SONNET not in offered())
        changes = {"is_off": False, "answer_tokens": 99, "plans": ["pro"], "max_concurrency": 3}
        await db_call(ModelOverride.objects.filter(pk=row.pk).update, **changes)
        await until(lambda: SONNET in offered())
        now = offered()[SONNET]
        assert (now.answer_tokens, now.plans, now.max_concurrency) == (99, ("pro",), 3)
        await db_call(row.delete)
        await until(lambda: offered()[SONNET].plans == ("free", "pro"))


async def test_what_the_catalogue_does_not_bear_is_said_once_and_does_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = offered()
    await db_call(ModelOverride.objects.create, name="gone", is_off=True)
    await db_call(ModelOverride.objects.create, name=HAIKU, answer_tokens=10**9, plans={"a": 1})
    with caplog.at_level(logging.INFO):
        async with following():
            await until(lambda: "do not fit it" in caplog.text)
            row = await db_call(ModelOverride.objects.create, name=SONNET, is_off=True)
            await until(lambda: SONNET not in offered())
            await db_call(row.delete)
            await until(lambda: SONNET in offered())
    assert offered() == before
    assert "The catalogue has no model gone" in caplog.text
    assert f"Model {SONNET} is overridden, and off" in caplog.text


async def test_while_they_cannot_be_read_those_read_before_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await db_call(ModelOverride.objects.create, name=SONNET, is_off=True)

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    table = ModelOverride._meta.db_table
    async with following():
        await until(lambda: SONNET not in offered())
        await db_call(rename, table, "away")
        try:
            await until(lambda: "cannot be read" in caplog.text)
            assert SONNET not in offered()
        finally:
            await db_call(rename, "away", table)
        await db_call(ModelOverride.objects.all().delete)
        await until(lambda: SONNET in offered())
    assert caplog.text.count("cannot be read") == 1


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(make_person(is_staff=True, is_superuser=True), backend=BACKEND)
    return client


ADD = "admin:conversations_modeloverride_add"


def test_an_operator_switches_a_model_off_and_the_log_says_who(staff: Client) -> None:
    values = {"name": SONNET, "is_off": "on", "answer_tokens": "512", "plans": ["pro"]}
    assert staff.post(reverse(ADD), {**values, "note": "too dear"}).status_code == 302
    row = ModelOverride.objects.get()
    assert (row.name, row.is_off, row.answer_tokens, row.plans) == (SONNET, True, 512, ["pro"])
    change = reverse("admin:conversations_modeloverride_change", args=[row.pk])
    page = staff.get(change).content.decode()
    assert "too dear" in page
    assert staff.post(change, {"name": SONNET, "plans": []}).status_code == 302
    row.refresh_from_db()
    assert (row.is_off, row.answer_tokens, row.plans) == (False, None, None)
    logged = LogEntry.objects.order_by("pk")
    assert [entry.object_repr for entry in logged] == [SONNET, SONNET]
    assert "switched off" in logged[1].change_message.lower()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": "gpt-9"}, "The catalogue has no model gpt-9. It has: smollm2-135m, claude-"),
        ({"name": HAIKU, "answer_tokens": "999999"}, f"{HAIKU} answers with 1 to 128000 tokens."),
        ({"name": HAIKU, "answer_tokens": "0"}, f"{HAIKU} answers with 1 to 128000 tokens."),
        ({"name": HAIKU, "plans": ["gold"]}, "gold is not one of the available choices"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_what_does_not_fit_the_catalogue_is_refused_with_the_reason(
    staff: Client, values: dict[str, object], complaint: str
) -> None:
    response = staff.post(reverse(ADD), values)
    assert response.status_code == 200
    assert complaint in response.content.decode()
    assert not ModelOverride.objects.exists()


def test_a_model_has_one_override(staff: Client) -> None:
    ModelOverride.objects.create(name=HAIKU)
    response = staff.post(reverse(ADD), {"name": HAIKU})
    assert "already exists" in response.content.decode()
