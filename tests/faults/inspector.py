"""A management process that stays: it opens conversations, and reads what the database holds.

Speaks JSON, a line each way: `{"call": ..., ...}` in, `{"result": ...}` out.
`python -m tests.faults.inspector` ends when its standard input closes.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import django

django.setup()

from django.db import Error, connection, transaction

from chatbot.accounts.models import BudgetPeriod, LedgerEntry, Purpose
from chatbot.accounts.people import create_person
from chatbot.accounts.tokens import create_token
from conversations.balance import read_balances
from conversations.models import Conversation, Generation, Message, Role
from conversations.models.generation import ACTIVE_STATES
from conversations.sealing import new_conversation_key, open_cipher, open_message
from tests.fakes.choosing import TAG

TRIES = 3


def make_people(name: str, count: int) -> list[dict[str, str]]:
    people = [create_person(f"{name}-{number}@faults.example", None) for number in range(count)]
    return [{"user": str(person.pk), "token": create_token(person)} for person in people]


def open_conversations(users: list[str]) -> list[str]:
    """Return a new conversation for each user."""
    rows = [Conversation(user_id=user) for user in users]
    for row in rows:
        row.wrapped_key = new_conversation_key(row.pk)
    Conversation.objects.bulk_create(rows)
    return [str(row.pk) for row in rows]


@transaction.atomic
def read_conversations(conversations: list[str]) -> dict[str, Any]:
    """Return the generations and the questions by tag, and what is left over."""
    with connection.cursor() as cursor:
        # One moment for all of it.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    generations: dict[str, list[dict[str, Any]]] = {}
    questions: Counter[str] = Counter()
    texts: dict[tuple[str, int], tuple[str, str]] = {}
    for conversation in Conversation.objects.filter(pk__in=conversations):
        cipher = open_cipher(conversation)
        for message in Message.objects.filter(conversation=conversation):
            text = open_message(cipher, message)
            texts[str(conversation.pk), message.seq] = (text, message.status)
            if message.role == Role.USER:
                questions.update(TAG.findall(text))
    for one in Generation.objects.filter(conversation_id__in=conversations):
        text, status = texts[str(one.conversation_id), one.answer_seq]
        stored = {
            "id": str(one.pk),
            "state": one.state,
            "attempt": one.attempt,
            "text": text,
            "status": status,
            "error_code": one.error_code,
        }
        generations.setdefault(one.idempotency_key, []).append(stored)
    return {"generations": generations, "questions": questions}


def read_leftovers() -> dict[str, Any]:
    """Return what is reserved, what runs, and whose budget differs from the ledger, of everybody."""
    return {
        "reserved": sum(BudgetPeriod.objects.values_list("reserved", flat=True)),
        "active": Generation.objects.filter(state__in=ACTIVE_STATES).count(),
        "uneven": [str(one) for _, some in read_balances() for one in some],
        "uncharged": list_uncharged(),
    }


def list_uncharged() -> list[str]:
    """Return what ended with another usage than the ledger has for it."""
    charged: Counter[str] = Counter()
    for entry in LedgerEntry.objects.filter(purpose=Purpose.ANSWER).iterator():
        charged[str(entry.source)] += entry.input_tokens + entry.output_tokens
    ended = Generation.objects.exclude(state__in=ACTIVE_STATES)
    return [
        str(one.pk)
        for one in ended.only("pk", "input_tokens", "output_tokens").iterator()
        if one.input_tokens + one.output_tokens != charged[str(one.pk)]
    ]


CALLS = {
    call.__name__: call
    for call in (make_people, open_conversations, read_conversations, read_leftovers)
}


def answer(order: dict[str, Any]) -> Any:
    call = CALLS[order.pop("call")]
    for _ in range(TRIES):
        try:
            return call(**order)
        except Error:
            # The server was restarted meanwhile: what the pool still holds is dead.
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one
    return call(**order)


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps({"result": answer(json.loads(line))}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
