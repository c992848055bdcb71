"""What is in the search index, and when."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from chatbot.accounts.models import User
from conversations.models import Conversation, Generation, SearchEntry, Status
from conversations.search.indexing import (
    due_generations,
    forget_messages,
    index_conversation,
    index_due,
)
from conversations.tasks import index_messages
from tests.conversations.rows import put_message
from tests.conversations.search.rows import index_all, places, put_turn
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


def indexed(conversation: Conversation) -> list[int]:
    entries = SearchEntry.objects.filter(conversation=conversation).order_by("seq")
    return list(entries.values_list("seq", flat=True))


def test_what_ended_is_due_until_it_is_indexed(user: User) -> None:
    conversation = make_conversation(user, title="Fruit")
    put_turn(conversation, "apples")
    assert (due_generations().count(), indexed(conversation)) == (1, [])
    index_messages()
    assert (due_generations().count(), indexed(conversation)) == (0, [0, 1, 2])
    put_turn(conversation, "pears")
    index_messages()
    assert indexed(conversation) == [0, 1, 2, 3, 4]
    assert places(user, "pear") == [3]


def test_doing_it_twice_changes_nothing(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "apples")
    index_all()
    before = list(SearchEntry.objects.values_list("pk", flat=True))
    Generation.objects.update(search_due=True)
    index_all()
    assert list(SearchEntry.objects.values_list("pk", flat=True)) == before
    assert places(user, "apple") == [1]


def test_an_edit_hides_what_stood_there(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "apples")
    put_turn(conversation, "pears")
    put_turn(conversation, "plums")
    index_all()
    put_turn(conversation, "figs", parent=2)
    index_all()
    assert indexed(conversation) == [1, 2, 7, 8]
    assert (places(user, "pear"), places(user, "fig")) == ([], [7])
    put_turn(conversation, "and more", parent=4)
    index_all()
    assert indexed(conversation) == [1, 2, 3, 4, 9, 10]


def test_an_answer_written_again_takes_the_place_of_the_first(user: User) -> None:
    conversation = make_conversation(user)
    first = put_turn(conversation, "fruit", "apples")
    index_all()
    again = put_message(conversation, 3, "pears", parent=1, role="assistant")
    Generation.objects.filter(pk=first.pk).update(answer_seq=3, answer_id=again.id, search_due=True)
    index_all()
    assert (places(user, "apple"), places(user, "pear")) == ([], [3])


def test_a_message_that_is_being_written_or_was_halted_is_not_indexed(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "apples", "pears")
    Generation.objects.update(state="halted")
    conversation.messages.filter(seq=2).update(status=Status.HALTED)
    index_all()
    assert indexed(conversation) == [1]
    conversation.refresh_from_db()
    put_message(conversation, 3, "plums", parent=2)
    put_message(conversation, 4, "", parent=3, status=Status.PENDING)
    index_conversation(conversation.pk, whole=True)
    assert indexed(conversation) == [1, 3]


def test_messages_can_be_taken_out(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "apples", "more apples")
    index_all()
    forget_messages(conversation.pk, [1])
    assert places(user, "apple") == [2]


def test_a_deleted_conversation_leaves_no_entry(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "apples")
    index_all()
    conversation.delete()
    assert not SearchEntry.objects.exists()
    assert index_conversation(conversation.pk)


def test_a_deleted_person_leaves_no_entry(user: User) -> None:
    put_turn(make_conversation(user), "apples")
    index_all()
    user.delete()
    assert not SearchEntry.objects.exists()


def test_a_conversation_whose_key_is_lost_stops_nobody(user: User) -> None:
    lost, other = make_conversation(user), make_conversation(user)
    put_turn(lost, "apples")
    put_turn(other, "apples")
    Conversation.objects.filter(pk=lost.pk).update(wrapped_key=b"")
    index_all()
    assert (indexed(lost), indexed(other)) == ([], [1, 2])
    assert not due_generations().exists()


def test_a_damaged_message_is_left_out(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "apples", "pears")
    conversation.messages.filter(seq=1).update(content_sealed=b"damaged")
    index_all()
    assert indexed(conversation) == [2]


def test_the_work_of_one_round_is_bounded_and_goes_on_in_the_next(user: User) -> None:
    for _ in range(3):
        put_turn(make_conversation(user), "apples")
    assert index_due(within_s=0) == 1
    assert due_generations().count() == 2
    index_all()
    assert places(user, "apple") == [1, 1, 1]


def command(*options: str) -> str:
    out = StringIO()
    call_command("indexsearch", *options, stdout=out)
    return out.getvalue()


def test_the_command_indexes_what_was_there_before(user: User) -> None:
    conversations = [make_conversation(user) for _ in range(3)]
    for conversation in conversations:
        for _ in range(3):
            put_turn(conversation, "apples")
    assert command() == "conversations indexed: 3\n"
    assert command() == "conversations indexed: 0\n"
    assert len(places(user, "apple")) == 9


def test_the_command_mends_and_makes_anew(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "apples")
    index_all()
    SearchEntry.objects.filter(seq=1).delete()
    SearchEntry.objects.filter(seq=2).update(seq=17)
    assert command("--all") == "conversations indexed: 1\n"
    assert indexed(conversation) == [1, 2]
    SearchEntry.objects.update(terms=[1])
    assert places(user, "apple") == []
    command("--rebuild")
    assert places(user, "apple") == [1]
