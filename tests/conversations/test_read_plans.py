"""What a page costs the database: ranges of indexes, and nothing read that is not shown."""

from __future__ import annotations

import pytest

from chatbot.accounts.models import User
from conversations.models import Message
from conversations.models.message import IS_FORK
from tests.bench.history import Reader, grow, middle_of, write_script
from tests.bench.listing import fill, pages_of, read
from tests.bench.plans import complaints
from tests.bench.search import settle_database
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_page_of_a_long_conversation_is_read_by_ranges_of_indexes(user: User) -> None:
    assert sum(fill(user, 500)) == 500
    # Many short ones besides, so that the long one is not what a plan for any of them expects.
    for _ in range(100):
        list(grow(make_conversation(user), write_script(6)))
    script = write_script(3_000, again=20)
    conversation = make_conversation(user)
    assert sum(grow(conversation, script)) == 3_000
    settle_database()
    forks = Message.objects.filter(IS_FORK, conversation=conversation).count()
    assert forks == 3_000 // 41
    reader = Reader(conversation, "edited", middle_of(script))
    assert list(reader.complaints(forks)) == []


def test_every_page_of_a_long_list_is_read_by_ranges_of_its_index(user: User) -> None:
    assert sum(fill(user, 4_000)) == 4_000
    # Most people have few, which is what a plan for anybody expects.
    for _ in range(100):
        list(fill(make_person(), 10))
    settle_database()
    found = {
        page: list(complaints(lambda: read(user, cursor), most_rows=31))  # noqa: B023
        for page, cursor in pages_of(user).items()
    }
    assert found == {page: [] for page in found}
