"""Answers on their way out: what is held, what is halted, and what is left of that anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from uuid import UUID

import pytest
from pytest_django import Settings

from chatbot.accounts.models import LedgerEntry, User
from chatbot.core.db import db_call
from conversations import worker as worker_module
from conversations.claims import MAX_CLAIMS, claim_waiting, load_claimed
from conversations.contextcache.store import read_raw
from conversations.eventlog import EventLog, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import Cursor, Event, EventType, parse_cursor
from conversations.export import export_person
from conversations.generations import Outcome
from conversations.guarding import Noted
from conversations.models import Conversation, Generation, Message, Screening, State
from conversations.runner import GenerationRun
from conversations.sealing import open_cipher, open_message
from conversations.search.indexing import index_due
from conversations.terminals import HALT_NOTICE
from llm.conf import get_registry, set_overrides
from llm.overrides import Override
from moderation.judging import judge
from moderation.models import Action, ModerationOutbox
from moderation.policies import current_policy
from moderation.types import Surface
from tests.conversations.conftest import ApiClient
from tests.conversations.gates import new_gate
from tests.conversations.logs import find_key
from tests.conversations.rows import (
    finish_claim,
    put_generation,
    put_message,
    queue_generation,
)
from tests.conversations.test_takeover import lose_worker, read_rest
from tests.conversations.working import running_worker
from tests.factories import make_conversation
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame, text_of

pytestmark = pytest.mark.django_db(transaction=True)

HARM = "exterminate all the immigrants"
CANARY = "zyxwv"
FILLER = (
    "A garden wants water in the morning and shade at noon. Sow beans in May, when the soil is "
    "warm, and keep the rows a hand apart. Slugs come at night after rain; a board laid on the "
    "bed gathers them. Pick often, for plants that are picked go on giving until the first frost. "
) * 3

# Harmless, and in words that stand in much that is not.
DOUBTED = (
    "The phishing email asked people for their password, social security number and credit card "
    "number. "
)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "POLL_S", 0.05)


@pytest.fixture(autouse=True)
def many_sends(settings: Settings) -> None:
    settings.SENDS_PER_MINUTE = {"free": 1000, "pro": 1000}


@pytest.fixture
def held(settings: Settings) -> None:
    settings.MODERATION_HOLD_BACK = 80


@pytest.fixture(
    params=["memory", pytest.param("valkey", marks=[pytest.mark.redis, pytest.mark.process])]
)
def place(request: pytest.FixtureRequest) -> None:
    """Keep the event log in memory, or in a server."""
    if request.param == "valkey":
        request.getfixturevalue("valkey")


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class RememberingLog(MemoryEventLog):
    """A log that also tells what was ever written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Event] = []

    async def append(self, key: StreamKey, event: Event) -> None:
        await super().append(key, event)
        self.told.append(event)

    @property
    def text(self) -> str:
        return "".join(one.data["text"] for one in self.told if one.type is EventType.DELTA)


def put_question(user: User) -> Generation:
    conversation = make_conversation(user)
    put_message(conversation, 1, "How do I grow beans?")
    answer = put_message(conversation, 2, "", parent=1, status="pending")
    return put_generation(conversation, answer, routed_model="smollm2-135m")


async def write_answer(user: User, log: EventLog) -> Generation:
    """Let one worker answer one question; return the generation as it ended."""
    generation = await db_call(put_question, user)
    (claim,) = await db_call(claim_waiting, "test", 1)
    rows = await db_call(load_claimed, [claim])
    await GenerationRun(claim, rows[generation.pk], log, new_gate()).run()
    return await db_call(Generation.objects.get, pk=generation.pk)


@pytest.mark.parametrize("size", [1, 7, 64, 2_000])
async def test_nothing_of_what_is_harmful_is_told_wherever_it_stands(
    user: User, models: None, held: None, provider: ScriptedProvider, size: int
) -> None:
    for offset in (8, 75, 79, 80, 81, 130, 159, 160, 161, 239, 240, 241, 400):
        log = RememberingLog()
        # Between two sentences, so that what comes before is told up to there at most.
        before = FILLER[: offset - 1] + " "
        provider.script({"chunks": cut(before + HARM + ". " + FILLER, size)})
        generation = await write_answer(user, log)
        assert generation.state == State.HALTED, offset
        assert before.startswith(log.text), offset
        assert [one.type for one in log.told[-2:]] == [EventType.SNAPSHOT, EventType.HALTED]


@pytest.mark.parametrize("size", [1, 7, 64, 2_000])
async def test_what_is_harmless_comes_whole_whatever_its_pieces(
    user: User, models: None, held: None, provider: ScriptedProvider, size: int
) -> None:
    log = RememberingLog()
    provider.script({"chunks": cut(FILLER, size)})
    generation = await write_answer(user, log)
    assert generation.state == State.COMPLETED
    assert log.text == FILLER
    assert not await db_call(ModerationOutbox.objects.exists)


async def read_until(frames: AsyncIterator[Frame], wanted: str) -> list[Frame]:
    seen: list[Frame] = []
    async for frame in frames:
        seen.append(frame)
        if wanted in text_of(seen):
            return seen
    raise AssertionError(f"the stream ended with {text_of(seen)!r}")


async def read_on(api: ApiClient, generation: str, after: str = "0-0") -> list[Frame]:
    path = f"/generations/{generation}/events"
    return [frame async for frame in api.stream("get", path, **{"Last-Event-ID": after})]


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


async def test_the_call_to_the_model_ends_with_the_find(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": [f"Surely {HARM} ", FILLER, "more"], "hold_after": 2})
    conversation = await api.new_conversation()
    async with running_worker(event_log):
        seen = await api.send(conversation, "Beans?")
    assert seen[-1].event == "halted"
    await asyncio.to_thread(provider.wait_until_closed)
    assert provider.requests()[0]["state"] == "closed_early"
    entry = await db_call(LedgerEntry.objects.get)
    assert entry.output_tokens > 0


async def test_a_stop_lets_out_what_was_held(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["Surely ", "beans want sun ", "more"], "hold_after": 2})
    seen = await stop_after(api, event_log, "Surely ")
    assert seen[-1].event == "stopped"
    assert text_of(seen) == seen[-1].data["message"]["content"]
    assert text_of(seen).startswith("Surely ")


async def stop_after(api: ApiClient, log: EventLog, wanted: str) -> list[Frame]:
    conversation = await api.new_conversation()
    path = f"/conversations/{conversation}/messages"
    async with (
        running_worker(log),
        aclosing(api.stream("post", path, {"content": "Beans?"})) as frames,
    ):
        seen = await read_until(frames, wanted)
        await api.call("post", f"/generations/{seen[0].data['generationId']}/stop")
        return seen + [frame async for frame in frames]


async def test_a_stop_does_not_let_out_what_is_harmful(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    # In one piece with the first word, so that it is there when the stop comes.
    provider.script({"chunks": [f"Surely you should {HARM} now", "more"], "hold_after": 1})
    seen = await stop_after(api, event_log, "Surely ")
    assert seen[-1].event == "halted"
    assert HARM not in str(seen)


async def test_an_answer_that_fails_shows_what_was_held_and_keeps_it(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script({"chunks": ["Surely ", "beans ", "grow"], "cut_after": 2}, status=400)
    conversation = await api.new_conversation()
    async with running_worker(event_log):
        seen = await api.send(conversation, "Beans?")
    assert seen[-1].event == "failed"
    kept = (await api.read(conversation))["messages"][1]["content"]
    assert text_of(seen) == kept == "Surely beans "


async def test_an_answer_that_fails_does_not_show_what_is_harmful(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    chunks = ["Surely ", f"you should {HARM} ", "now"]
    provider.script({"chunks": chunks, "cut_after": 2}, status=400)
    conversation = await api.new_conversation()
    async with running_worker(event_log):
        seen = await api.send(conversation, "Beans?")
    assert seen[-1].event == "halted"
    assert HARM not in str(seen)


def read_answer_text(generation: Generation) -> str:
    conversation = Conversation.objects.get(pk=generation.conversation_id)
    answer = Message.objects.get(pk=(conversation.pk, generation.answer_seq))
    return open_message(open_cipher(conversation), answer)


class BreakingLog(RememberingLog):
    """A log that fails once, in a way that nobody expects, when so much was told."""

    def __init__(self, chars: int) -> None:
        super().__init__()
        self._left = chars

    async def append(self, key: StreamKey, event: Event) -> None:
        if event.type is EventType.DELTA and self._left > 0:
            self._left -= len(event.data["text"])
            if self._left <= 0:
                raise RuntimeError("broken")
        await super().append(key, event)


@pytest.mark.parametrize(
    ("rest", "state"), [(HARM + ".", State.HALTED), ("And so on.", State.FAILED)]
)
async def test_what_came_before_something_broke_is_judged_before_it_is_kept(
    user: User, models: None, held: None, provider: ScriptedProvider, rest: str, state: State
) -> None:
    text = f"{FILLER[:300]} {rest}"
    provider.script({"chunks": [text[:220], text[220:]]})
    generation = await write_answer(user, BreakingLog(100))
    assert generation.state == state
    told = await db_call(read_answer_text, generation)
    assert (HARM in told, told.startswith(text[:50])) == (False, state == State.FAILED)


async def lose_and_go_on(
    api: ApiClient, log: EventLog, shown: str, meanwhile: Callable[[], object] = lambda: None
) -> tuple[list[Frame], str]:
    """Let a worker die once so much was shown, and another take over; return what was told and kept."""
    conversation = await api.new_conversation()
    seen = await lose_worker(api, log, conversation, shown)
    await db_call(meanwhile)
    async with running_worker(log):
        seen += await read_rest(api, seen)
    return seen, (await api.read(conversation))["messages"][1]["content"]


async def test_another_worker_goes_on_from_what_was_told(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    provider.script(
        {"chunks": ["one ", "two "], "hold_after": 1}, {"chunks": ["one ", "three ", "four"]}
    )
    seen, kept = await lose_and_go_on(api, event_log, "one ")
    assert text_of(seen) == kept == "one three four"


async def test_what_another_worker_goes_on_with_is_judged_with_what_was_told(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    told, rest = f"You should {HARM[:12]}", HARM[12:]
    provider.script({"chunks": [told, "two "], "hold_after": 1}, {"chunks": [told, rest]})
    seen, kept = await lose_and_go_on(api, event_log, told)
    assert (seen[-1].event, kept) == ("halted", HALT_NOTICE)


async def test_what_no_model_is_left_to_go_on_with_is_judged_before_it_is_kept(
    api: ApiClient, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    # Too short for a window when its worker died.
    told = f"You should {HARM} "
    provider.script({"chunks": [told, "two "], "hold_after": 1})
    off = {spec.name: Override(is_off=True) for spec in get_registry().models()}
    try:
        seen, kept = await lose_and_go_on(api, event_log, told, lambda: set_overrides(off))
    finally:
        set_overrides({})
    assert (seen[-1].event, kept) == ("halted", HALT_NOTICE)


async def test_what_took_too_many_workers_is_judged_before_it_is_kept(
    api: ApiClient, user: User, models: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    told = f"You should {HARM} "
    provider.script({"chunks": [told, "two "], "hold_after": 1})

    def abandon() -> None:
        Generation.objects.update(claims=MAX_CLAIMS)

    seen, kept = await lose_and_go_on(api, event_log, told, abandon)
    assert (seen[-1].event, kept) == ("halted", HALT_NOTICE)
    key = await db_call(find_key, seen[0].data["generationId"])
    assert HARM not in str(await event_log.read(key))
    assert (await db_call(ModerationOutbox.objects.get)).record["action"] == "halted"


async def test_an_answer_that_is_doubted_is_shown_and_noted_for_moderators(
    user: User, models: None, held: None, provider: ScriptedProvider
) -> None:
    log = RememberingLog()
    provider.script({"chunks": cut(DOUBTED, 7)})
    generation = await write_answer(user, log)
    assert (generation.state, log.text) == (State.COMPLETED, DOUBTED)
    told = (await db_call(ModerationOutbox.objects.get)).record
    assert (told["action"], told["source"]) == ("flagged", "answer")
    assert told["generation_id"] == str(generation.pk)


async def test_another_model_begins_anew_behind_a_gate_of_its_own(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    begun = {"chunks": cut(FILLER[:250], 10), "cut_after": 25}
    anew = FILLER[20:200] + f" {HARM} " + FILLER
    provider.script(begun, chunks=cut(anew, 10))
    conversation = await api.new_conversation()
    async with running_worker(event_log):
        seen = await api.send(conversation, "Beans?")
    assert seen[-1].event == "halted"
    assert HARM not in str(seen)


async def test_somebody_in_need_is_answered_with_support_and_no_model(
    api: ApiClient, models: None, held: None, event_log: EventLog, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    reference = await api.enqueue(conversation, "I am so tired of it all")
    await db_call(Generation.objects.update, screening=Screening.SUPPORT)
    async with running_worker(event_log):
        seen = await read_on(api, reference["generationId"])
    message = current_policy().support_message
    assert text_of(seen) == message
    assert (seen[-1].event, seen[-1].data["stopReason"]) == ("done", "support")
    view = (await api.read(conversation))["messages"][1]
    assert (view["content"], view["status"]) == (message, "complete")
    assert not any(view["usage"].values())
    assert provider.requests() == []
    assert not await db_call(LedgerEntry.objects.exists)


def test_what_was_found_is_noted_once_however_often_the_end_is_stored(user: User) -> None:
    generation = queue_generation(user)
    (claim,) = claim_waiting("test", 1)
    found = judge(f"You should {HARM} now, all of you.", surface=Surface.OUTPUT, plan="free")
    noted = Noted("harm", found, Action.HALTED)
    outcome = Outcome(State.HALTED, text=HALT_NOTICE, last_seq=3, error_code="hate", noted=noted)
    ends = [finish_claim(claim, outcome) for _ in range(2)]
    assert ends[0] == ends[1]
    assert ends[0].data["notice"] == HALT_NOTICE
    assert ends[0].cursor == Cursor(1, 3)
    assert ModerationOutbox.objects.count() == 1
    assert ModerationOutbox.objects.get().record["generation_id"] == str(generation.pk)
