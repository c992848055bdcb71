"""The list: every conversation comes once, the pinned ones first, whatever moves meanwhile."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings, strategies as st

from chatbot.accounts.models import User
from chatbot.core.errors import InvalidCursor
from conversations.listing import list_conversations
from conversations.models import Conversation
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)

SOME_ID = UUID(int=7)


def read_list(user: User, *, limit: int) -> list[str]:
    titles: list[str] = []
    cursor: str | None = None
    while True:
        found = list_conversations(user.pk, cursor=cursor, limit=limit)
        assert len(found["items"]) <= limit
        titles += [item["title"] for item in found["items"]]
        cursor = found["nextCursor"]
        if cursor is None:
            return titles


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=12),
    limit=st.integers(1, 13),
)
def test_pages_neither_lose_nor_repeat_a_conversation(
    made: list[tuple[bool, int]], limit: int
) -> None:
    user = make_person()
    now = timezone.now()
    rows = [
        make_conversation(user, title=f"{n}", pinned=pinned, updated=now - timedelta(minutes=ago))
        for n, (pinned, ago) in enumerate(made)
    ]
    order = sorted(
        range(len(rows)),
        key=lambda n: (rows[n].pinned, rows[n].updated, rows[n].id),
        reverse=True,
    )
    assert read_list(user, limit=limit) == [f"{n}" for n in order]


def titles(found: Any) -> list[str]:
    return [item["title"] for item in found["items"]]


def some(user: User, number: int, *, pinned: bool = False) -> list[Conversation]:
    now = timezone.now()
    name = "pin" if pinned else "number"
    return [
        make_conversation(
            user, title=f"{name} {n}", pinned=pinned, updated=now - timedelta(minutes=n)
        )
        for n in range(number)
    ]


def test_a_conversation_touched_while_paging_hides_no_other(user: User) -> None:
    made = some(user, 4)
    first = list_conversations(user.pk, cursor=None, limit=2)
    Conversation.objects.filter(pk=made[3].pk).update(updated=timezone.now())
    make_conversation(user, title="a new one")
    rest = list_conversations(user.pk, cursor=first["nextCursor"], limit=2)
    assert titles(first) == ["number 0", "number 1"]
    assert titles(rest) == ["number 2"]


def test_what_the_cursor_was_made_of_may_move_and_go(user: User) -> None:
    made = some(user, 4)
    first = list_conversations(user.pk, cursor=None, limit=2)
    Conversation.objects.filter(pk=made[1].pk).update(updated=timezone.now(), pinned=True)
    assert titles(list_conversations(user.pk, cursor=first["nextCursor"], limit=2)) == [
        "number 2",
        "number 3",
    ]
    made[1].delete()
    assert titles(list_conversations(user.pk, cursor=first["nextCursor"], limit=1)) == ["number 2"]


def test_pinning_while_paging_hides_and_repeats_no_other(user: User) -> None:
    some(user, 3, pinned=True)
    made = some(user, 3)
    first = list_conversations(user.pk, cursor=None, limit=2)
    Conversation.objects.filter(pk=made[2].pk).update(pinned=True, updated=timezone.now())
    rest = list_conversations(user.pk, cursor=first["nextCursor"], limit=9)
    assert titles(first) == ["pin 0", "pin 1"]
    assert titles(rest) == ["pin 2", "number 0", "number 1"]


def encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


MOMENT = "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "ü",
        encode("now|0|then"),
        encode(f"2026-01-01T00:00:00|0|{SOME_ID}"),
        encode(f"{MOMENT}|0|not-an-id"),
        encode(f"{MOMENT}|2|{SOME_ID}"),
        encode(f"{MOMENT}|{SOME_ID}"),
        encode(f"{MOMENT}||{SOME_ID}"),
        encode(f"0001-01-01T00:00:00+23:59|0|{SOME_ID}"),
        encode(f"9999-12-31T23:59:59-23:59|1|{SOME_ID}"),
    ],
)
def test_a_cursor_that_was_never_given_is_refused(user: User, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        list_conversations(user.pk, cursor=cursor, limit=3)


def test_a_cursor_of_somebody_else_shows_only_what_is_ones_own(user: User) -> None:
    other = make_person()
    some(other, 3)
    some(user, 2)
    cursor = list_conversations(other.pk, cursor=None, limit=1)["nextCursor"]
    mine = list_conversations(user.pk, cursor=cursor, limit=9)
    assert {item["conversationId"] for item in mine["items"]} <= {
        str(one.pk) for one in Conversation.objects.filter(user=user)
    }
