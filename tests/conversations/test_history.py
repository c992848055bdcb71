"""Pages of a branch: in either direction each message of it comes once, in order, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings, strategies as st

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations.forks import find_on_branch, find_runs, read_newest_beneath, read_runs
from conversations.history import PageRequest, read_conversation
from conversations.models import Conversation, Message, Role
from conversations.queries import MessageNotFound
from tests.conversations.conftest import ApiClient
from tests.conversations.rows import branch_of, put_branches, put_message
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)

# The second question was edited, and its edit's second answer written again.
EDITED = [None, 1, 2, 3, 2, 5, 6, 7, 7]
SHOWN = [1, 2, 5, 6, 7, 9]


@st.composite
def trees(draw: st.DrawFn) -> list[int | None]:
    """Draw the parent of each message: mostly the one before, else any older one, or none."""
    parents: list[int | None] = []
    for seq in range(1, draw(st.integers(1, 40)) + 1):
        goes_on = seq > 1 and draw(st.integers(0, 3)) > 0
        older = draw(st.integers(0, seq - 1)) if not goes_on else seq - 1
        parents.append(older or None)
    return parents


def grown(user: User, parents: list[int | None]) -> Conversation:
    conversation = make_conversation(user)
    put_branches(conversation, parents)
    return conversation


def page(user: User, conversation: Conversation, limit: int, **place: int | None) -> Any:
    return read_conversation(user.pk, conversation.pk, PageRequest(limit, **place))


def seqs(view: Any) -> list[int]:
    return [message["seq"] for message in view["messages"]]


def read_back(user: User, conversation: Conversation, view: Any, limit: int) -> list[int]:
    """Return all that stands on the branch up to the end of a page."""
    seen = seqs(view)
    while view["nextCursor"] is not None:
        view = page(user, conversation, limit, before=view["nextCursor"])
        assert 0 < len(view["messages"]) <= limit
        seen = seqs(view) + seen
    return seen


def read_on(user: User, conversation: Conversation, view: Any, limit: int) -> list[int]:
    """Return all that stands on the branch from the beginning of a page."""
    seen = seqs(view)
    while view["newerCursor"] is not None:
        view = page(user, conversation, limit, after=view["newerCursor"])
        assert 0 < len(view["messages"]) <= limit
        seen += seqs(view)
    return seen


some_trees = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@some_trees
@given(parents=trees(), limit=st.integers(1, 9))
def test_a_branch_pages_back_and_forth_without_gap_or_repeat(
    user: User, parents: list[int | None], limit: int
) -> None:
    conversation = grown(user, parents)
    branch = branch_of(parents)
    newest = page(user, conversation, limit)
    assert newest["newerCursor"] is None
    assert read_back(user, conversation, newest, limit) == branch
    first = page(user, conversation, limit, around=branch[0])
    assert first["nextCursor"] is None
    assert read_on(user, conversation, first, limit) == branch


@some_trees
@given(parents=trees(), limit=st.integers(1, 9), data=st.data())
def test_a_page_around_a_message_of_the_branch_has_it_and_leads_to_all_others(
    user: User, parents: list[int | None], limit: int, data: st.DataObject
) -> None:
    conversation = grown(user, parents)
    branch = branch_of(parents)
    wanted = data.draw(st.sampled_from(branch))
    found = page(user, conversation, limit, around=wanted)
    assert wanted in seqs(found)
    assert len(found["messages"]) <= limit
    older = read_back(user, conversation, found, limit)
    newer = read_on(user, conversation, found, limit)
    assert older[: -len(found["messages"])] + newer == branch


@some_trees
@given(parents=trees(), data=st.data())
def test_what_stands_on_a_branch_is_known_of_many_messages_at_once(
    user: User, parents: list[int | None], data: st.DataObject
) -> None:
    conversation = grown(user, parents)
    branch = branch_of(parents)
    places = data.draw(st.sets(st.integers(1, len(parents) + 1)))
    found = find_on_branch(conversation.pk, places, leaf=branch[-1])
    assert found == places & set(branch)
    assert find_on_branch(conversation.pk, places, leaf=None) == set()


@some_trees
@given(parents=trees(), data=st.data())
def test_what_stands_on_another_branch_is_no_place_on_this_one(
    user: User, parents: list[int | None], data: st.DataObject
) -> None:
    conversation = grown(user, parents)
    branch = branch_of(parents)
    seq = data.draw(st.integers(1, len(parents) + 1))
    runs = read_runs(conversation.pk, after=seq, leaf=branch[-1])
    if seq in branch:
        after = branch[branch.index(seq) + 1 :]
        assert runs is not None
        assert [one for start, end in runs for one in range(start, end + 1)] == after
        return
    assert runs is None
    for place in ({"after": seq}, {"around": seq}):
        with pytest.raises(MessageNotFound):
            page(user, conversation, 5, **place)


@some_trees
@given(parents=trees(), limit=st.integers(1, 9))
def test_a_message_tells_what_else_was_said_in_its_place(
    user: User, parents: list[int | None], limit: int
) -> None:
    conversation = grown(user, parents)
    for message in page(user, conversation, limit)["messages"]:
        parent = message["parentSeq"]
        same = [seq for seq, one in enumerate(parents, start=1) if one == parent]
        assert message["siblings"] == (same if len(same) > 1 else [])


@some_trees
@given(parents=trees(), data=st.data())
def test_the_newest_that_follows_a_message_is_known_on_every_branch(
    user: User, parents: list[int | None], data: st.DataObject
) -> None:
    conversation = grown(user, parents)
    seq = data.draw(st.integers(1, len(parents)))
    beneath = {seq}
    for place, parent in enumerate(parents, start=1):
        if parent in beneath:
            beneath.add(place)
    assert read_newest_beneath(conversation.pk, seq, last=len(parents)) == max(beneath)


def test_a_branch_that_comes_back_to_an_older_one_is_followed() -> None:
    # 1, 2 and then 3, 4; 5, 6 from 2; 7, 8 from 4 again.
    forks = [(5, 2), (7, 4)]
    assert find_runs(forks, after=1, leaf=8) == [(2, 4), (7, 8)]
    assert find_runs(forks, after=5, leaf=8) is None


def test_an_edit_made_while_paging_back_does_not_change_what_is_older(user: User) -> None:
    conversation = grown(user, EDITED)
    newest = page(user, conversation, 2)
    put_message(conversation, 10, "a new first question", role=Role.USER)
    assert seqs(page(user, conversation, 10, before=newest["nextCursor"])) == [1, 2, 5, 6]
    assert seqs(page(user, conversation, 10)) == [10]


def test_an_edit_made_while_paging_on_ends_that_branch(user: User) -> None:
    conversation = grown(user, EDITED)
    found = page(user, conversation, 3, around=5)
    assert (seqs(found), found["newerCursor"]) == ([2, 5, 6], 6)
    put_message(conversation, 10, "another second question", parent=2, role=Role.USER)
    with pytest.raises(MessageNotFound):
        page(user, conversation, 3, after=6)
    assert seqs(page(user, conversation, 3, after=2)) == [10]


def test_messages_added_while_paging_on_come_at_the_end(user: User) -> None:
    conversation = grown(user, EDITED)
    found = page(user, conversation, 3, after=2)
    put_message(conversation, 10, "one more", parent=9, role=Role.USER)
    assert seqs(found) == [5, 6, 7]
    on = page(user, conversation, 3, after=found["newerCursor"])
    assert (seqs(on), on["newerCursor"]) == ([9, 10], None)
    rest = page(user, conversation, 3, after=10)
    assert (seqs(rest), rest["nextCursor"], rest["newerCursor"]) == ([], None, None)


def test_an_empty_conversation_has_an_empty_page(user: User) -> None:
    view = page(user, make_conversation(user), 10)
    assert (view["messages"], view["nextCursor"], view["newerCursor"]) == ([], None, None)
    first = page(user, grown(user, EDITED), 10, before=1)
    assert (first["messages"], first["nextCursor"], first["newerCursor"]) == ([], None, None)


@pytest.mark.parametrize("place", ["before", "after", "around"])
def test_a_place_that_is_not_there_is_refused(user: User, place: str) -> None:
    conversation = grown(user, EDITED)
    for seq in (99, 2_147_483_647):
        with pytest.raises(MessageNotFound):
            page(user, conversation, 10, **{place: seq})
    with pytest.raises(MessageNotFound):
        page(user, make_conversation(user), 10, **{place: 1})


@pytest.mark.parametrize(
    "query",
    [
        "before=0",
        "after=-1",
        "around=nonsense",
        "after=2147483648",
        "around=1e3",
        "after=",
        "before=2&after=2",
        "around=2&before=2",
        "limit=0&after=2",
    ],
)
async def test_nonsense_for_a_place_is_a_typed_refusal(
    api: ApiClient, models: None, query: str
) -> None:
    conversation = await api.new_conversation()
    response = await api.call("get", f"/conversations/{conversation}?{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


async def test_a_place_in_what_belongs_to_somebody_else_is_not_found(
    api: ApiClient, models: None
) -> None:
    conversation = await api.new_conversation()
    other = await db_call(make_person)
    await Conversation.objects.filter(pk=conversation).aupdate(user=other)
    response = await api.call("get", f"/conversations/{conversation}?around=1")
    assert response.json()["error"]["code"] == "conversation_not_found"


def linear(length: int) -> list[int | None]:
    return [None, *range(1, length)]


def test_a_page_costs_the_same_at_any_place_and_past_any_edit(user: User) -> None:
    # Edited at its tenth message after 400, and shown from there on.
    conversation = grown(user, [*linear(400), 10, *range(401, 440)])
    conversation.refresh_from_db()
    for place, expected in (
        ({}, [*range(421, 441)]),
        ({"before": 401}, [*range(1, 11)]),
        ({"around": 5}, [*range(1, 11), *range(401, 405)]),
        ({"after": 10}, [*range(401, 421)]),
    ):
        with CaptureQueriesContext(connection) as queries:
            assert seqs(page(user, conversation, 20, **place)) == expected
        assert len(queries) <= 7
        read = [one["sql"] for one in queries if "content_sealed" in one["sql"]]
        assert len(read) <= 2


def test_only_what_a_page_shows_is_read(user: User) -> None:
    # Every question was asked 30 times over: the branch goes through the last of each.
    parents: list[int | None] = []
    shown: list[int] = []
    for _ in range(20):
        parent = shown[-1] if shown else None
        parents += [parent] * 30
        shown.append(len(parents))
    conversation = grown(user, parents)
    with CaptureQueriesContext(connection) as queries:
        assert seqs(page(user, conversation, 5)) == shown[-5:]
    assert len(queries) <= 10
    assert Message.objects.filter(conversation=conversation).count() == 600
