"""Paging: every message and every conversation comes once, whatever changes meanwhile."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from chatbot.accounts.models import User
from chatbot.core.errors import InvalidCursor
from conversations.models import Conversation, Message, Role, Status
from conversations.queries import (
    BRANCH_CHUNKS,
    ConversationNotFound,
    GenerationNotFound,
    MessageNotFound,
    find_conversation,
    find_generation,
    list_conversations,
    read_conversation,
    walk_branch,
)
from tests.conversations.rows import put_message, queue_generation
from tests.factories import make_conversation, make_person

BRANCH_CHUNK = sum(BRANCH_CHUNKS)

pytestmark = pytest.mark.django_db(transaction=True)

SOME_ID = UUID(int=7)
# (seq, parent): the second question was edited, and its edit's second answer written again.
EDITED = [(1, None), (2, 1), (3, 2), (4, 3), (5, 2), (6, 5), (7, 6), (8, 7), (9, 7)]
SHOWN = [1, 2, 5, 6, 7, 9]


def edited_conversation(user: User) -> Conversation:
    conversation = make_conversation(user)
    for seq, parent in EDITED:
        role = Role.USER if seq in {1, 3, 5, 7} else Role.ASSISTANT
        put_message(conversation, seq, f"message {seq}", parent=parent, role=role)
    return conversation


def page(user: User, conversation: Conversation, before: int | None, limit: int) -> Any:
    return read_conversation(user.pk, conversation.pk, before=before, limit=limit)


def seqs(view: Any) -> list[int]:
    return [message["seq"] for message in view["messages"]]


@pytest.mark.parametrize("limit", range(1, 8))
def test_an_edited_branch_pages_backwards_without_gap_or_repeat(user: User, limit: int) -> None:
    conversation = edited_conversation(user)
    seen: list[int] = []
    before: int | None = None
    while True:
        view = page(user, conversation, before, limit)
        assert len(view["messages"]) <= limit
        seen = seqs(view) + seen
        before = view["nextCursor"]
        if before is None:
            break
    assert seen == SHOWN


def test_an_edit_made_while_paging_does_not_change_what_is_older(user: User) -> None:
    conversation = edited_conversation(user)
    newest = page(user, conversation, None, 2)
    put_message(conversation, 10, "a new first question", role=Role.USER)
    assert seqs(page(user, conversation, newest["nextCursor"], 10)) == [1, 2, 5, 6]
    assert seqs(page(user, conversation, None, 10)) == [10]


def test_a_page_before_a_message_that_is_not_there_is_refused(user: User) -> None:
    with pytest.raises(MessageNotFound):
        page(user, edited_conversation(user), 99, 10)


def test_an_empty_conversation_has_an_empty_page(user: User) -> None:
    view = page(user, make_conversation(user), None, 10)
    assert (view["messages"], view["nextCursor"]) == ([], None)


def long_conversation(user: User, length: int) -> Conversation:
    conversation = make_conversation(user, active_leaf=length)
    Message.objects.bulk_create(
        Message(
            conversation=conversation,
            seq=seq,
            parent_seq=seq - 1 or None,
            role=Role.USER if seq % 2 else Role.ASSISTANT,
            status=Status.COMPLETE,
            content_sealed=b"",
        )
        for seq in range(1, length + 1)
    )
    return conversation


@pytest.mark.parametrize(
    "length", [BRANCH_CHUNKS[0], BRANCH_CHUNKS[0] + 1, BRANCH_CHUNK, 2 * BRANCH_CHUNK + 7]
)
def test_a_branch_of_many_chunks_is_walked_to_its_root(user: User, length: int) -> None:
    conversation = long_conversation(user, length)
    walked = [message.seq for message in walk_branch(conversation.pk, length)]
    assert walked == list(range(length, 0, -1))


def test_a_branch_that_skips_whole_chunks_is_followed(user: User) -> None:
    length = 3 * BRANCH_CHUNK
    conversation = long_conversation(user, length)
    Message.objects.filter(conversation=conversation, seq=length).update(parent_seq=2)
    assert [message.seq for message in walk_branch(conversation.pk, length)] == [length, 2, 1]


def test_a_page_of_a_long_history_costs_a_page(
    user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    conversation = long_conversation(user, 5 * BRANCH_CHUNK)
    branch = walk_branch(conversation.pk, 5 * BRANCH_CHUNK)
    with django_assert_num_queries(2):
        assert [next(branch).seq for _ in range(20)][-1] == 5 * BRANCH_CHUNK - 19


def test_a_branch_whose_messages_are_gone_ends(user: User) -> None:
    conversation = make_conversation(user, active_leaf=7)
    assert list(walk_branch(conversation.pk, 7)) == []


def read_list(user: User, *, limit: int) -> list[str]:
    titles: list[str] = []
    cursor: str | None = None
    while True:
        found = list_conversations(user.pk, cursor=cursor, limit=limit)
        titles += [item["title"] for item in found["items"]]
        cursor = found["nextCursor"]
        if cursor is None:
            return titles


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_equal_times_neither_lose_nor_repeat_a_conversation(user: User, limit: int) -> None:
    moment = timezone.now()
    for number in range(7):
        make_conversation(user, title=f"number {number}", updated=moment)
    assert read_list(user, limit=limit) == [f"number {number}" for number in range(6, -1, -1)]


def test_a_conversation_touched_while_paging_hides_no_other(user: User) -> None:
    now = timezone.now()
    made = [
        make_conversation(user, title=f"number {number}", updated=now - timedelta(minutes=number))
        for number in range(4)
    ]
    first = list_conversations(user.pk, cursor=None, limit=2)
    Conversation.objects.filter(pk=made[3].pk).update(updated=timezone.now())
    make_conversation(user, title="a new one")
    rest = list_conversations(user.pk, cursor=first["nextCursor"], limit=2)
    assert [item["title"] for item in first["items"]] == ["number 0", "number 1"]
    assert [item["title"] for item in rest["items"]] == ["number 2"]


def encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "ü",
        encode("now|then"),
        encode(f"2026-01-01T00:00:00|{SOME_ID}"),
        encode("2026-01-01T00:00:00+00:00|not-an-id"),
        encode(f"0001-01-01T00:00:00+23:59|{SOME_ID}"),
        encode(f"9999-12-31T23:59:59-23:59|{SOME_ID}"),
    ],
)
def test_a_cursor_that_was_never_given_is_refused(user: User, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        list_conversations(user.pk, cursor=cursor, limit=3)


def test_what_belongs_to_others_is_not_found(user: User) -> None:
    other = make_person()
    generation = queue_generation(other)
    with pytest.raises(ConversationNotFound):
        find_conversation(user.pk, generation.conversation_id)
    with pytest.raises(GenerationNotFound):
        find_generation(user.pk, generation.pk)
    assert find_generation(other.pk, generation.pk) == generation
    assert read_list(user, limit=5) == []
