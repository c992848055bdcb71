"""What is left of an answer that was halted late: nothing, on any surface and for any reader."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import UUID

import pytest

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations import worker as worker_module
from conversations.contextcache.store import read_raw
from conversations.eventlog import EventLog
from conversations.events import parse_cursor
from conversations.export import export_person
from conversations.models import Conversation
from conversations.search.indexing import index_due
from conversations.terminals import HALT_NOTICE
from moderation.models import ModerationOutbox
from tests.conversations.conftest import ApiClient
from tests.conversations.guarded import FILLER, HARM, cut, read_on, read_until
from tests.conversations.logs import find_key
from tests.conversations.working import running_worker
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "zyxwv"


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "POLL_S", 0.05)


@pytest.fixture(
    params=["memory", pytest.param("valkey", marks=[pytest.mark.redis, pytest.mark.process])]
)
def place(request: pytest.FixtureRequest) -> None:
    """Keep the event log in memory, or in a server."""
    if request.param == "valkey":
        request.getfixturevalue("valkey")


async def test_a_late_find_leaves_nothing_on_any_surface(
    place: None,
    api: ApiClient,
    user: User,
    models: None,
    event_log: EventLog,
    provider: ScriptedProvider,
) -> None:
    harm = f"Dear {CANARY}, go and {HARM}"
    # Nothing is held: all of it is told before the window that ends it.
    provider.script({"chunks": [*cut(FILLER[:200], 10), f" {harm} ", FILLER], "hold_after": 21})
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    async with running_worker(event_log):
        async with aclosing(api.stream("post", path, {"content": "Beans?"})) as frames:
            seen = await read_until(frames, HARM)
            generation = seen[0].data["generationId"]
            provider.release()
            rest = [frame async for frame in frames]
        assert [frame.event for frame in rest][-1] == "halted"
        assert rest[-1].data == {"category": "hate", "notice": HALT_NOTICE}
        assert CANARY not in str(rest)
        # Another device, from the start and from where it stood.
        for after in ("0-0", seen[0].id, seen[-1].id):
            again = await read_on(api, generation, after)
            assert again[-1].event == "halted"
            assert CANARY not in str(again)
        key = await db_call(find_key, generation)
        entries = await event_log.read(key)
        assert entries
        assert CANARY not in str(entries)
        view = (await api.read(conversation))["messages"][1]
        assert (view["content"], view["status"]) == (HALT_NOTICE, "halted")
        assert view["error"]["code"] == "hate"
        await db_call(index_due, within_s=5)
        found = await api.call("get", f"/conversations?q={CANARY}")
        assert found.json()["items"] == []
        exported = b"".join([part async for part in export_person(user)])
        assert CANARY.encode() not in exported
        assert CANARY not in str(await db_call(read_raw, UUID(conversation)))
        provider.script({"chunks": ["More."]})
        await api.send(conversation, "And then?")
    asked = provider.requests()[1]["body"]
    assert CANARY not in str(asked)
    assert "Beans?" in str(asked)
    row = await db_call(Conversation.objects.get, pk=conversation)
    assert CANARY.encode() not in bytes(row.title_sealed or b"")
    (note,) = await db_call(lambda: list(ModerationOutbox.objects.all()))
    told = note.record
    assert (told["action"], told["source"], told["message_seq"]) == ("halted", "answer", 2)
    assert told["generation_id"] == generation


async def test_who_follows_a_deleted_log_hears_its_end_at_once(
    place: None,
    api: ApiClient,
    models: None,
    held: None,
    event_log: EventLog,
    provider: ScriptedProvider,
) -> None:
    provider.script({"chunks": [*cut(FILLER[:400], 20), f" {HARM} ", FILLER], "hold_after": 20})
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    async with (
        running_worker(event_log),
        aclosing(api.stream("post", path, {"content": "Beans?"})) as first,
    ):
        seen = await read_until(first, FILLER[:120])
        events = f"/generations/{seen[0].data['generationId']}/events"
        behind = {"Last-Event-ID": seen[0].id}
        async with aclosing(api.stream("get", events, **behind)) as second:
            await anext(second)
            provider.release()
            # The database would be asked after five seconds.
            async with asyncio.timeout(4):
                ends = [[frame async for frame in one][-1] for one in (first, second)]
    assert [end.event for end in ends] == ["halted", "halted"]
    assert parse_cursor(ends[0].id).attempt == 2
