"""What is learnt of tokens is shared by all processes, and kept where nothing that is stored moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.models import TokenScale
from conversations.scales import exchange_lessons, follow_scales
from llm.calibration import Lesson, begin_levels
from llm.conf import get_registry, read_catalog, set_local_endpoint, set_scales
from llm.registry import StaticEndpoint
from llm.tokens import UNKNOWN
from llm.types import Prompt, Turn, Usage

pytestmark = pytest.mark.django_db(transaction=True)

LOW = [Lesson("plain", 0.6)] * 50


@pytest.fixture(autouse=True)
def _as_shipped() -> Iterator[None]:
    set_local_endpoint(StaticEndpoint("http://localhost:9"))
    yield
    set_scales({})
    set_local_endpoint(None)


def test_a_family_begins_with_what_the_catalogue_says() -> None:
    spec = read_catalog().models[0]
    found = exchange_lessons({spec.family: [Lesson("plain", 1.09)], "new": [Lesson("wide", 1.0)]})
    assert found[spec.family] == begin_levels(spec.token_scale).scale
    assert found["new"] == begin_levels(UNKNOWN).scale


def test_lessons_add_up_over_processes_and_restarts() -> None:
    for _ in range(7):
        exchange_lessons({"family": LOW})
    found = exchange_lessons({"family": LOW})
    assert found["family"].plain < 0.9 * begin_levels(UNKNOWN).scale.plain
    assert found["family"].wide == begin_levels(UNKNOWN).scale.wide
    assert TokenScale.objects.get().plain_lessons == 8 * len(LOW)
    assert exchange_lessons({}) == found


def test_processes_that_learn_at_once_lose_no_change_of_another() -> None:
    def learn(_: int) -> None:
        try:
            exchange_lessons({"family": LOW[:10]})
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(learn, range(8)))
    row = TokenScale.objects.get()
    # Each change was made on top of the one before; who was overtaken too often left its own out.
    assert row.plain_lessons == 10 * row.version
    assert row.version >= 1


async def test_what_answers_tell_reaches_every_process() -> None:
    registry = get_registry()
    spec = registry.models()[0]
    prompt = Prompt("", (Turn("user", "A river runs through the valley. " * 40),), 9)
    for _ in range(5):
        registry.means.lessons.hear(spec, prompt, Usage(1_000, 5))
    task = spawn(follow_scales(every_s=0.01), name="follower under test")
    try:
        async with asyncio.timeout(20):
            stored = TokenScale.objects.filter(plain_lessons=5)
            while not await db_call(stored.exists):  # noqa: ASYNC110 - another task writes it
                await asyncio.sleep(0.01)
            # Another process has learnt more.
            await db_call(TokenScale.objects.update, plain_step=10)
            learnt = pytest.approx(1.05**10)
            while registry.models()[0].token_scale.plain != learnt:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
