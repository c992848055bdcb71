"""One person with very many conversations: how long a page of their list takes.

.venv/bin/python -m tests.services .venv/bin/python manage.py bench_context list
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from chatbot.accounts.models import User
from conversations.listing import Place, list_conversations
from conversations.models import Conversation
from conversations.sealing import new_conversation_key, open_cipher, seal_column
from tests.bench.paging import PageRow, PagesResult, measure
from tests.bench.plans import complaints
from tests.bench.search import settle_database
from tests.factories import make_person

# As the page asks for.
LIMIT = 30
BATCH = 1_000
# Of how many one is pinned.
PINNED = 100


def fill(user: User, conversations: int) -> Iterator[int]:
    """Give a person so many conversations with titles; yields how many each step added."""
    now = timezone.now()
    for begin in range(0, conversations, BATCH):
        rows = []
        for number in range(begin, min(begin + BATCH, conversations)):
            one = Conversation(
                user=user, pinned=number % PINNED == 0, updated=now - timedelta(minutes=number)
            )
            one.wrapped_key = new_conversation_key(one.pk)
            title = f"What was said on day {number}"
            one.title_sealed = seal_column(open_cipher(one), one.pk, "title", title)
            rows.append(one)
        Conversation.objects.bulk_create(rows)
        yield len(rows)


def pages_of(user: User) -> dict[str, str | None]:
    """Return the cursors of some pages."""
    listed = Conversation.objects.filter(user=user).order_by("-pinned", "-updated", "-id")
    total = listed.count()
    pinned = listed.filter(pinned=True).count()
    after = {
        "second": LIMIT,
        "last of the pinned": pinned - LIMIT // 2,
        "middle": total // 2,
        "last": total - LIMIT,
    }
    return {
        "first": None,
        **{name: Place.of(listed[at - 1]).encode() for name, at in after.items()},
    }


def run_list_benchmark(
    *, conversations: int, rounds: int = 100, told: Callable[[int], object] = lambda _: None
) -> PagesResult:
    """Fill the configured database for a new person and read; nothing is cleaned up."""
    user = make_person()
    for added in fill(user, conversations):
        told(added)
    settle_database()
    rows: list[PageRow] = []
    plans: list[str] = []
    for page, cursor in pages_of(user).items():
        ms = measure(lambda: read(user, cursor), rounds)  # noqa: B023
        rows.append(PageRow("the list", page, ms))
        for what in complaints(lambda: read(user, cursor), most_rows=LIMIT + 1):  # noqa: B023
            plans.append(f"the list, {page}: {what}")
    what = f"pages of {LIMIT} of {conversations:,} conversations"
    return PagesResult(what, connection.vendor, tuple(rows), tuple(plans))


def read(user: User, cursor: str | None) -> None:
    if len(list_conversations(user.pk, cursor=cursor, limit=LIMIT)["items"]) != LIMIT:
        raise LookupError("A page that is not full was measured.")
