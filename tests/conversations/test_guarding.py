"""Answers on their way out: what is held, what is halted, and what is left of that anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest
from pytest_django import Settings

from chatbot.accounts.models import LedgerEntry, User
from chatbot.core.db import db_call
from conversations import worker as worker_module
from conversations.claims import MAX_CLAIMS, claim_waiting, load_claimed
from conversations.eventlog import EventLog, StreamKey
from conversations.eventlog.memory import MemoryEventLog
from conversations.events import Cursor, Event, EventType
from conversations.generations import Outcome
from conversations.guarding import Noted
from conversations.models import Conversation, Generation, Message, Screening, State
from conversations.runner import GenerationRun
from conversations.sealing import open_cipher, open_message
from conversations.terminals import HALT_NOTICE
from llm.conf import get_registry, set_overrides
from llm.overrides import Override
from moderation.judging import judge
from moderation.models import Action, ModerationOutbox
from moderation.policies import current_policy
from moderation.types import Surface
from tests.conversations.conftest import ApiClient
from tests.conversations.gates import new_gate
from tests.conversations.guarded import FILLER, HARM, cut, read_on, read_until
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
