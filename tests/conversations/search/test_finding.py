"""Searching one's own conversations: what is found, in what order, and whose it is."""

from __future__ import annotations

import hashlib

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings, strategies as st
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.core.errors import InvalidCursor
from chatbot.core.keyring import new_keyring_text
from conversations.cursors import encode_position
from conversations.models import Conversation, Message, SearchEntry, Status
from conversations.search import finding
from conversations.search.blinding import Blinder
from conversations.search.finding import SearchUnavailable, search_conversations
from conversations.search.indexing import index_title
from conversations.search.terms import terms_of
from tests.bench.search import QUERIES, explain, fill, settle_database
from tests.bench.statements import noted_statements, wrong_plans
from tests.conversations.search.rows import index_all, marked, places, put_turn, search
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_message_is_found_by_another_form_of_its_words(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "Where do the foxes run?", "They were running through Café Größe.")
    index_all()
    assert places(user, "fox runs") == [1]
    assert places(user, "RUNNING cafe") == [2]
    item = search(user, "grosse")[0]
    assert marked(item) == ["Größe"]
    assert item["conversationId"] == str(conversation.pk)
    assert item["match"]["role"] == "assistant"


@pytest.mark.parametrize("recent", [0, finding.RECENT])
def test_nobody_elses_words_are_found_though_their_terms_be_equal_by_chance(
    user: User, monkeypatch: pytest.MonkeyPatch, recent: int
) -> None:
    monkeypatch.setattr(finding, "RECENT", recent)
    stranger = make_person()
    mine, theirs = make_conversation(user), make_conversation(stranger)
    for conversation in (mine, mine, theirs):
        put_turn(conversation, "apples", "pears")
    index_all()
    assert len(search(stranger, "apples")) == 1
    equal = Blinder(user).blind(terms_of("apples"))
    SearchEntry.objects.filter(user_id=stranger.pk, seq=1).update(terms=equal)
    found = search(user, "apples", limit=1) + search(user, "apples")
    assert {item["conversationId"] for item in found} == {str(mine.pk)}


def test_the_newest_is_first_and_pages_neither_lose_nor_repeat(user: User) -> None:
    expected = []
    for number in range(5):
        conversation = make_conversation(user)
        put_turn(conversation, f"apples {number}", "pears")
        expected.append((str(conversation.pk), 1))
    index_all()
    # Of one moment: then the place in the index decides.
    SearchEntry.objects.update(at=SearchEntry.objects.latest("at").at)
    seen, cursor = [], None
    while True:
        page = search_conversations(user, "apple", cursor=cursor, limit=2)
        assert len(page["items"]) <= 2
        seen += [(item["conversationId"], item["match"]["seq"]) for item in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == expected[::-1]


def test_a_page_ends_after_so_many_candidates_and_the_next_goes_on(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "SPAN", 2)
    conversation = make_conversation(user)
    for question in ("international", "internal", "internals", "interns", "internet"):
        put_turn(conversation, question)
    index_all()
    pages, cursor = [], None
    while True:
        page = search_conversations(user, "internati", cursor=cursor, limit=30)
        pages.append([item["match"]["seq"] for item in page["items"]])
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert pages == [[], [], [1]]


@pytest.mark.parametrize("recent", [1, 3, 6])
def test_looking_at_the_recent_first_loses_and_repeats_nothing(
    user: User, recent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "RECENT", recent)
    conversation = make_conversation(user)
    for number in range(6):
        put_turn(conversation, f"apples {number}", "apples" if number % 2 else "pears")
    index_all()
    seen, cursor = [], None
    while True:
        page = search_conversations(user, "apple", cursor=cursor, limit=2)
        seen += [item["match"]["seq"] for item in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == [12, 11, 9, 8, 7, 5, 4, 3, 1]


def test_a_title_is_found_unless_its_message_says_the_same(user: User) -> None:
    conversation = make_conversation(user, title="Quiet gardens")
    index_title(conversation)
    [item] = search(user, "garden")
    assert (item["match"]["seq"], marked(item)) == (None, ["gardens"])
    put_turn(conversation, "Tell me of quiet gardens")
    index_all()
    assert places(user, "garden") == [1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["apple", "pear", "plum", "fig", "東京", "🍏"]), min_size=1))
def test_two_people_who_say_the_same_find_only_their_own(user: User, words: list[str]) -> None:
    text = " ".join(words)
    other = make_person()
    own = {}
    for person in (user, other):
        conversation = make_conversation(person, title=text)
        put_turn(conversation, text, text)
        own[person.pk] = conversation
    index_all()
    for person in (user, other):
        found = {item["conversationId"] for item in search(person, text)}
        mine = Conversation.objects.filter(user=person).values_list("pk", flat=True)
        assert str(own[person.pk].pk) in found
        assert found <= {str(pk) for pk in mine}


def test_two_people_have_no_term_in_common(user: User) -> None:
    for person in (user, make_person()):
        put_turn(make_conversation(person), "the very same words", "and the same answer")
    index_all()
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id, seq, terms FROM conversations_searchentry")
        rows = cursor.fetchall()
    terms: dict[object, set[object]] = {}
    for owner, _, stored in rows:
        terms.setdefault(owner, set()).update(
            stored if isinstance(stored, list) else stored.split()
        )
    first, second = terms.values()
    assert len(first) > 10
    assert not first & second


def test_the_entries_hold_neither_words_nor_hashes_without_a_key(user: User) -> None:
    conversation = make_conversation(user, title="heronword")
    index_title(conversation)
    put_turn(conversation, "heronword", "heronword")
    index_all()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM conversations_searchentry")
        stored = repr(cursor.fetchall())
        if connection.vendor == "sqlite":
            cursor.execute("SELECT * FROM conversations_searchwords_data")
            stored += repr(cursor.fetchall())
    assert "heron" not in stored
    for term in ("heronword", "wheronword", "pher", "pheron"):
        for name in ("md5", "sha1", "sha256", "blake2b"):
            digest = hashlib.new(name, term.encode()).digest()
            number = int.from_bytes(digest[:4], "big", signed=True)
            assert str(number) not in stored
            assert digest[:4].hex() not in stored


def test_after_a_rotation_of_the_keyring_the_index_still_serves(
    user: User, settings: Settings
) -> None:
    put_turn(make_conversation(user), "before the rotation")
    index_all()
    settings.KEYRING = f"{new_keyring_text('next')},{settings.KEYRING}"
    put_turn(make_conversation(user), "after the rotation")
    index_all()
    assert len(search(user, "rotation")) == 2


def test_what_the_index_says_is_not_believed_unless_the_text_says_so(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "one apple", "two pears")
    index_all()
    first, second = SearchEntry.objects.filter(seq__gt=0).order_by("seq")
    SearchEntry.objects.filter(pk=first.pk).update(seq=99)
    SearchEntry.objects.filter(pk=second.pk).update(seq=1)
    SearchEntry.objects.filter(pk=first.pk).update(seq=2)
    assert (places(user, "apple"), places(user, "pear")) == ([], [])


def test_what_was_halted_or_deleted_is_not_shown(user: User) -> None:
    conversation = make_conversation(user)
    put_turn(conversation, "one apple", "two apples")
    index_all()
    Message.objects.filter(conversation=conversation, seq=2).update(status=Status.HALTED)
    assert places(user, "apple") == [1]
    Message.objects.filter(conversation=conversation, seq=1).delete()
    assert places(user, "apple") == []


def test_without_the_persons_key_a_search_is_refused(user: User) -> None:
    user.wrapped_key = b""
    with pytest.raises(SearchUnavailable):
        search(user, "anything")


@pytest.mark.parametrize("text", [" ", "?!", "\u200f\u200e", "\u200b", "'", "\u0301"])
def test_a_text_without_words_finds_nothing(user: User, text: str) -> None:
    put_turn(make_conversation(user), "anything")
    index_all()
    assert search(user, text) == []


def test_a_very_long_text_is_searched_by_its_first_words(user: User) -> None:
    put_turn(make_conversation(user), " ".join(f"word{n}" for n in range(16)))
    index_all()
    assert places(user, " ".join(f"word{n}" for n in range(2_000))) == [1]


def test_a_cursor_that_was_never_given_is_refused(user: User) -> None:
    at = make_conversation(user).created
    for identity in ("", "-1", "x", "²", "9" * 19, str(user.pk)):
        with pytest.raises(InvalidCursor):
            search_conversations(user, "x", cursor=encode_position(at, identity), limit=3)


def test_the_terms_are_looked_up_in_their_index(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of these few messages as small a part as the newest are of very many.
    monkeypatch.setattr(finding, "RECENT", 40)
    assert sum(fill(user, messages=600)) == 600
    settle_database()
    for text in QUERIES.values():
        plan = explain(user, text)
        if connection.vendor == "postgresql":
            assert "Bitmap Index Scan on search_entry_terms" in plan
            assert "Seq Scan" not in plan
        else:
            assert "SCAN conversations_searchwords VIRTUAL TABLE INDEX" in plan
            assert "SCAN conversations_searchentry" not in plan
    for text in QUERIES.values():
        with noted_statements() as noted:
            search(user, text, limit=10)
        # The newest of a person are a range of the index by time, whatever is looked for in them.
        asked = [one for one in noted if "conversations_searchentry" in one[0]]
        assert asked
        assert list(wrong_plans(asked)) == []
    found = search(user, QUERIES["a word of most messages"], limit=10)
    assert len(found) == 10
