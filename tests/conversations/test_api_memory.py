"""What a conversation remembers, read, corrected and pinned over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.tasks import spawn
from conversations.eventlog import EventLog
from conversations.export import export_person
from conversations.models import Chore, Conversation, Summary
from conversations.upkeep import keep_up
from tests.conversations.conftest import ApiClient
from tests.conversations.memories import NARROW, long_conversation, put_summary, until_done
from tests.conversations.working import running_worker
from tests.factories import make_person
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def talk(hosted: None, user: User) -> Conversation:
    """A long conversation that was summed up once."""
    talk = await db_call(long_conversation, user)
    await db_call(put_summary, talk, 6, "Born in 1901.")
    return talk


async def read(api: ApiClient, talk: Conversation) -> Any:
    response = await api.call("get", f"/conversations/{talk.pk}/memory")
    assert response.status_code == 200
    return response.json()


async def put(api: ApiClient, talk: Conversation, **body: Any) -> Any:
    return await api.call("put", f"/conversations/{talk.pk}/memory", body)


async def test_what_is_remembered_is_shown_with_where_it_ends(
    api: ApiClient, talk: Conversation
) -> None:
    memory = await read(api, talk)
    assert (memory["summary"], memory["coversSeq"]) == ("Born in 1901.", 6)
    assert memory["version"] == 1
    assert memory["pinnedFacts"] == []
    assert (await api.read(str(talk.pk)))["summarySeq"] == 6


async def test_a_new_conversation_remembers_nothing(api: ApiClient) -> None:
    conversation = await api.new_conversation()
    page = await api.read(conversation)
    assert page["summarySeq"] is None
    response = await api.call("get", f"/conversations/{conversation}/memory")
    assert response.json()["summary"] is None


async def test_a_correction_is_a_new_version(api: ApiClient, talk: Conversation) -> None:
    response = await put(api, talk, version=1, summary=" Born in 1999. ")
    assert response.json()["summary"] == "Born in 1999."
    memory = await read(api, talk)
    assert memory["isCorrected"]
    assert memory["version"] == 2
    assert await db_call(Summary.objects.count) == 2


async def test_the_second_of_two_tabs_is_told_and_changes_nothing(
    api: ApiClient, talk: Conversation
) -> None:
    await put(api, talk, version=1, summary="First tab.")
    response = await put(api, talk, version=1, summary="Second tab.", pinnedFacts=["A fact."])
    assert response.status_code == 409
    error = response.json()["error"]
    assert error["code"] == "memory_changed"
    assert error["detail"] == {"version": 2}
    memory = await read(api, talk)
    assert (memory["summary"], memory["pinnedFacts"]) == ("First tab.", [])


async def test_facts_and_a_correction_are_kept_together_or_not_at_all(
    api: ApiClient, talk: Conversation
) -> None:
    response = await put(api, talk, version=1, summary="word " * 1_500, pinnedFacts=["A fact."])
    assert response.status_code == 413
    assert (await read(api, talk))["pinnedFacts"] == []
    response = await put(api, talk, version=1, summary="Short.", pinnedFacts=["A\n fact."])
    assert response.status_code == 200
    assert response.json()["pinnedFacts"] == ["A fact."]
    assert response.json()["version"] == 3


async def test_pinned_facts_are_bounded_with_their_size_and_the_limit(
    api: ApiClient, talk: Conversation
) -> None:
    response = await put(api, talk, version=1, pinnedFacts=["漢字" * 200] * 3)
    assert response.status_code == 413
    error = response.json()["error"]
    assert error["code"] == "memory_too_long"
    assert error["detail"]["tokens"] > error["detail"]["limit"] == 1_000


@pytest.mark.parametrize(
    "body",
    [
        {"pinnedFacts": ["x"]},
        {"version": -1},
        {"version": "1"},
        {"version": 1, "pinnedFacts": ["x"] * 31},
        {"version": 1, "pinnedFacts": ["x" * 501]},
        {"version": 1, "pinnedFacts": [" "]},
        {"version": 1, "pinnedFacts": ["a\x00b"]},
        {"version": 1, "summary": "x" * 8_001},
        {"version": 1, "other": 1},
    ],
)
async def test_what_cannot_be_remembered_is_refused(
    api: ApiClient, talk: Conversation, body: dict[str, Any]
) -> None:
    response = await put(api, talk, **body)
    assert response.status_code == 400


async def test_a_correction_needs_something_to_correct(api: ApiClient) -> None:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/memory"
    response = await api.call("put", path, {"version": 0, "summary": "Made up."})
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "nothing_to_correct"
    response = await api.call("put", path, {"version": 0, "pinnedFacts": ["A fact."]})
    assert response.json()["version"] == 1


async def test_what_others_remember_is_not_there(api: ApiClient, hosted: None) -> None:
    other = await db_call(long_conversation, await db_call(make_person))
    assert (await api.call("get", f"/conversations/{other.pk}/memory")).status_code == 404
    assert (await put(api, other, version=0, pinnedFacts=["x"])).status_code == 404


async def test_what_does_not_open_is_not_shown_as_nothing(
    api: ApiClient, talk: Conversation
) -> None:
    await db_call(Summary.objects.update, text_sealed=b"\x01damaged")
    response = await api.call("get", f"/conversations/{talk.pk}/memory")
    assert response.json()["error"]["code"] == "content_unavailable"


async def test_the_export_has_every_version_and_the_facts(
    api: ApiClient, talk: Conversation, user: User
) -> None:
    await put(api, talk, version=1, summary="Corrected.", pinnedFacts=["A fact."])
    text = b"".join([piece async for piece in export_person(user)]).decode()
    assert all(one in text for one in ("Born in 1901.", "Corrected.", "A fact."))


async def test_what_is_remembered_goes_with_the_conversation(
    api: ApiClient, talk: Conversation
) -> None:
    await api.call("delete", f"/conversations/{talk.pk}")
    assert not await db_call(Summary.objects.exists)


async def test_what_is_remembered_goes_with_the_person(api: ApiClient, talk: Conversation) -> None:
    await api.call("delete", "/me")
    assert not await db_call(Summary.objects.exists)
    assert not await db_call(Chore.objects.exists)


async def test_a_raw_row_shows_nothing_of_it(api: ApiClient, talk: Conversation) -> None:
    await put(api, talk, version=1, pinnedFacts=["Aurelia"])
    row = await db_call(Conversation.objects.get, pk=talk.pk)
    kept = await db_call(lambda: [bytes(one.text_sealed) for one in Summary.objects.all()])
    assert b"Aurelia" not in bytes(row.pinned_facts_sealed)
    assert all(b"1901" not in one for one in kept)


def system_of(request: dict[str, Any]) -> str:
    system = request["body"].get("system", "")
    return system if isinstance(system, str) else " ".join(block["text"] for block in system)


async def test_pinned_facts_stand_in_every_prompt_after_any_number_of_summaries(
    hosted: None,
    api: ApiClient,
    event_log: EventLog,
    user: User,
    provider: ScriptedProvider,
) -> None:
    """Through the whole product: doors, worker, marks and the keeper of embedded mode."""
    conversation = await api.new_conversation(model=NARROW)
    path = f"/conversations/{conversation}/memory"
    await api.call("put", path, {"version": 0, "pinnedFacts": ["Her name is Aurelia."]})
    provider.script(text="Nothing much. " * 30)
    keeper = spawn(keep_up(), name="keeper under test")
    async with running_worker(event_log):
        for number in range(12):
            await api.send(conversation, f"Question {number}. " + "And then? " * 150)
            await until_done()
    keeper.cancel()
    versions = await db_call(Summary.objects.count)
    assert versions >= 3
    prompts = [one for one in provider.requests() if one["body"]["model"] == NARROW]
    assert len(prompts) == 12
    assert all("Her name is Aurelia." in system_of(one) for one in prompts)
    assert "Nothing much." in system_of(prompts[-1])
    assert (await api.read(conversation))["summarySeq"] is not None
