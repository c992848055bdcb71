"""Chores on their way to Celery: told together where there are many, and each done for itself."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import connection

from chatbot.celery import app as celery_app
from conversations.chores import claim_chore, mark_chore
from conversations.dispatch import MAX_TOLD, TEND, tell_chore
from conversations.models import Chore, ChoreKind, Conversation
from tests.factories import make_conversation


@pytest.mark.usefixtures("valkey")
def test_many_chores_are_few_tasks() -> None:
    chores = [(uuid4(), "title") for _ in range(2 * MAX_TOLD)]
    for conversation_id, kind in chores:
        tell_chore(conversation_id, kind)
    told: list[tuple[UUID, str]] = []
    tasks = 0
    with celery_app.connection_for_read() as broker, broker.SimpleQueue("celery") as tasks_told:
        while len(told) < len(chores):
            task = tasks_told.get(timeout=20)
            assert task.headers["task"] == TEND
            told += [(UUID(place), kind) for place, kind in task.payload[0][0]]
            task.ack()
            tasks += 1
    assert told == chores
    # One for the first, which nobody let wait, and what came while the thread was waking.
    assert tasks <= len(chores) // 4


@pytest.mark.django_db(transaction=True)
def test_a_task_does_what_it_was_told_of_whatever_others_are_at(conversation: Conversation) -> None:
    others = [make_conversation(conversation.user) for _ in range(2)]
    places = [one.pk for one in (conversation, *others)]
    for place in places:
        mark_chore(place, ChoreKind.SUMMARY)
    held = claim_chore(places[1], ChoreKind.SUMMARY)
    assert held is not None
    told = [(str(place), "summary") for place in (*places, uuid4())]
    # A task has connections of its own.
    connection.close()
    celery_app.loader.import_default_modules()
    celery_app.tasks[TEND].run(told)
    assert [chore.conversation_id for chore in Chore.objects.all()] == [places[1]]
