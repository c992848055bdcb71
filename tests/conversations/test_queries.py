"""Walking a branch back, and whose things are found."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from chatbot.accounts.models import User
from conversations.models import Conversation, Message, Role, Status
from conversations.queries import (
    BRANCH_CHUNKS,
    ConversationNotFound,
    GenerationNotFound,
    find_conversation,
    find_generation,
    walk_branch,
)
from tests.conversations.rows import queue_generation
from tests.factories import make_conversation, make_person

BRANCH_CHUNK = sum(BRANCH_CHUNKS)

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_what_an_edit_left_out_is_not_read_on_the_way(
    user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    length = 3 * BRANCH_CHUNK
    conversation = long_conversation(user, length)
    Message.objects.filter(conversation=conversation, seq=length).update(parent_seq=2)
    with django_assert_num_queries(2):
        walked = [message.seq for message in walk_branch(conversation.pk, length)]
    assert walked == [length, 2, 1]


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


def test_what_belongs_to_others_is_not_found(user: User) -> None:
    other = make_person()
    generation = queue_generation(other)
    with pytest.raises(ConversationNotFound):
        find_conversation(user.pk, generation.conversation_id)
    with pytest.raises(GenerationNotFound):
        find_generation(user.pk, generation.pk)
    assert find_generation(other.pk, generation.pk) == generation
