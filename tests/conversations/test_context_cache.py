"""What is kept of a conversation for its next prompt: used where it is right, and never else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations.changes import delete_conversation
from conversations.contextcache.entry import unpack_entry
from conversations.contextcache.store import MAX_BYTES
from conversations.events import ChangeMemory
from conversations.export import erase_person
from conversations.memory import change_memory
from conversations.models import Conversation, Message, Status
from conversations.past import MAX_PARTS
from conversations.prompts import Task, load_task
from conversations.sealing import open_cipher
from conversations.sizes import StoredSize, size_of
from conversations.worker import GenerationWorker
from llm.catalog import ModelSpec
from llm.catalog_file import load_catalog
from llm.tokens import Scale, Size
from tests.conversations.conftest import ApiClient
from tests.conversations.memories import put_summary
from tests.conversations.talks import Talk, claimed, narrow_spec, same, without_cache
from tests.factories import make_person
from tests.fakes.provider_process import ScriptedProvider
from tests.stores import Valkey

# A process's log and notices go through the same server.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("valkey", "event_log"),
]

SPEC = narrow_spec()


def key_of(conversation_id: UUID) -> str:
    return f"context:{{{conversation_id}}}"


def entry_of(talk: Talk, valkey: Valkey) -> bytes:
    with valkey.client() as client:
        raw = client.get(key_of(talk.conversation.pk))
    assert isinstance(raw, bytes)
    return raw


def put_entry(talk: Talk, valkey: Valkey, raw: bytes) -> None:
    with valkey.client() as client:
        client.set(key_of(talk.conversation.pk), raw)


def reads(source: str) -> float:
    return REGISTRY.get_sample_value("parley_context_reads_total", {"source": source}) or 0.0


def talk_of(user: User, turns: int, spec: ModelSpec = SPEC) -> Talk:
    talk = Talk(user)
    for number in range(turns):
        talk.turn(f"question {number}", spec, parent=talk.last)
    return talk


def go_on(talk: Talk, parent: int | None, spec: ModelSpec = SPEC) -> Task:
    """Ask after a message, check that the cache makes no difference, and answer."""
    generation = talk.ask(f"after {parent}?", parent=parent)
    task = load_task(generation, spec)
    with without_cache():
        assert same(task, load_task(claimed(generation), spec))
    talk.finish(task, f"answer after {parent}")
    return task


def count_queries(talk: Talk, spec: ModelSpec = SPEC) -> tuple[Task, int]:
    generation = talk.ask("and?", parent=talk.last)
    with CaptureQueriesContext(connection) as queries:
        task = load_task(generation, spec)
    return task, len(queries)


def test_a_turn_finds_what_those_before_have_kept_and_asks_the_database_nothing(
    user: User,
) -> None:
    talk = talk_of(user, 5)
    task, queries = count_queries(talk)
    assert (task.past.source, queries) == ("cache", 0)
    texts = [turn.text for turn in task.prompt.turns]
    assert texts[-3:] == ["question 4", "answer to question 4", "and?"]


def test_a_summary_is_kept_as_well(user: User) -> None:
    talk = talk_of(user, 30)
    put_summary(talk.conversation, talk.answers[-4], "What was said until then.")
    assert go_on(talk, talk.last).past.source == "database"
    task, queries = count_queries(talk)
    assert (task.past.source, queries) == ("cache", 0)
    assert "What was said until then." in task.prompt.memory


def test_an_edited_question_finds_what_was_said_before_it(user: User) -> None:
    talk = talk_of(user, 5)
    edited = go_on(talk, talk.answers[2])
    assert edited.past.source == "cache"
    assert [turn.text for turn in edited.prompt.turns][-2] == "answer to question 2"
    assert go_on(talk, talk.last).past.source == "cache"


def test_another_answer_to_the_same_question_finds_it_too(user: User) -> None:
    talk = talk_of(user, 3)
    task = load_task(talk.answer_again(talk.questions[-1]), SPEC)
    assert task.past.source == "cache"
    assert task.prompt.turns[-1].text == "question 2"


def test_a_model_with_a_larger_window_goes_back_to_the_database_once(user: User) -> None:
    talk = talk_of(user, 60, narrow_spec(500))
    wide = narrow_spec(1_500)
    assert go_on(talk, talk.last, wide).past.source == "database"
    assert go_on(talk, talk.last, wide).past.source == "cache"
    assert go_on(talk, talk.last, narrow_spec(500)).past.source == "cache"


@pytest.mark.parametrize("status", [Status.FAILED, Status.HALTED, Status.STOPPED])
def test_an_answer_that_was_not_finished_is_kept_as_the_database_has_it(
    user: User, status: Status
) -> None:
    talk = talk_of(user, 2)
    task = load_task(talk.ask("a question", parent=talk.last), SPEC)
    talk.finish(task, "half an answer", status=status)
    found = go_on(talk, talk.last)
    assert found.past.source == "cache"
    told = "half an answer" in [turn.text for turn in found.prompt.turns]
    assert told is (status == Status.STOPPED)


HEAD = 13


def parts_of(raw: bytes) -> list[bytes]:
    """Return the parts of an entry, each with its length before it."""
    parts, at = [], HEAD
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "big")
        parts.append(raw[at:end])
        at = end
    return parts


def with_parts(*places: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:HEAD] + b"".join(parts_of(raw)[place] for place in places)


POISONS: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the text": lambda raw: raw[:-40] + bytes([raw[-40] ^ 1]) + raw[-39:],
    "the end cut off": lambda raw: raw[:-7],
    "something behind it": lambda raw: raw + b"\0\0\0\x05hello",
    "a length beyond the end": lambda raw: raw + b"\xff\xff\xff\xff",
    "no part at all": with_parts(),
    "no beginning": with_parts(1, 2, 3, 4),
    "another name": lambda raw: raw[:5] + b"8 bytes!" + raw[HEAD:],
    "the parts in another order": with_parts(0, 2, 1, 3, 4),
    "a part left out": with_parts(0, 1, 3, 4),
    "a part twice": with_parts(0, 1, 1, 2, 3, 4),
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS.keys())
def test_an_entry_that_was_tampered_with_is_reported_and_made_anew(
    user: User, valkey: Valkey, poison: Callable[[bytes], bytes]
) -> None:
    talk = talk_of(user, 5)
    put_entry(talk, valkey, poison(entry_of(talk, valkey)))
    before = reads("refused")
    assert go_on(talk, talk.last).past.source == "database"
    assert reads("refused") == before + 1
    assert go_on(talk, talk.last).past.source == "cache"


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x01" + b"\0" * 90, b"\x03" + b"x" * 90, b"hello"])
def test_what_is_no_entry_is_as_good_as_none(user: User, valkey: Valkey, raw: bytes) -> None:
    talk = talk_of(user, 2)
    put_entry(talk, valkey, raw)
    assert go_on(talk, talk.last).past.source == "database"
    assert go_on(talk, talk.last).past.source == "cache"


def test_something_else_under_its_name_is_replaced_and_redis_is_not_away(
    user: User, valkey: Valkey
) -> None:
    talk = talk_of(user, 2)
    with valkey.client() as client:
        client.delete(key_of(talk.conversation.pk))
        client.rpush(key_of(talk.conversation.pk), "a list")
    assert go_on(talk, talk.last).past.source == "database"
    assert go_on(talk, talk.last).past.source == "cache"


def test_the_entry_of_another_conversation_does_not_open(user: User, valkey: Valkey) -> None:
    mine, other = talk_of(user, 3), talk_of(make_person(), 3)
    put_entry(mine, valkey, entry_of(other, valkey))
    before = reads("refused")
    assert go_on(mine, mine.last).past.source == "database"
    assert reads("refused") == before + 1


def test_an_older_entry_that_is_put_back_is_not_taken_for_the_newest(
    user: User, valkey: Valkey
) -> None:
    talk = talk_of(user, 3)
    old = entry_of(talk, valkey)
    talk.turn("later", SPEC, parent=talk.last)
    put_entry(talk, valkey, old)
    assert go_on(talk, talk.last).past.source == "database"


def test_an_entry_from_before_a_change_of_memory_is_not_used(user: User, valkey: Valkey) -> None:
    talk = talk_of(user, 3)
    old = entry_of(talk, valkey)
    put_summary(talk.conversation, talk.answers[0], "Corrected.", is_corrected=True)
    task = go_on(talk, talk.last)
    assert (task.past.source, "Corrected." in task.prompt.memory) == ("database", True)
    put_entry(talk, valkey, old)
    assert go_on(talk, talk.last).past.source == "database"


def test_a_worker_that_was_slow_adds_nothing_to_what_came_after_it(
    user: User, valkey: Valkey
) -> None:
    talk = talk_of(user, 3)
    slow = load_task(talk.ask("slow", parent=talk.last), SPEC)
    talk.turn("quick", SPEC, parent=talk.last)
    kept = entry_of(talk, valkey)
    talk.finish(slow, "at last")
    assert entry_of(talk, valkey) == kept


def test_an_entry_stays_as_large_as_a_window_needs_it(user: User, valkey: Valkey) -> None:
    talk = talk_of(user, 40)
    sizes = []
    for number in range(6 * MAX_PARTS):
        talk.turn(f"question {number}", SPEC, parent=talk.last)
        sizes.append(len(entry_of(talk, valkey)))
    middle = len(sizes) // 2
    assert max(sizes[middle:]) <= 1.1 * max(sizes[:middle])
    with valkey.client() as client:
        assert 0 < client.ttl(key_of(talk.conversation.pk)) <= 900


def test_one_that_would_be_too_large_is_not_kept(user: User, valkey: Valkey) -> None:
    talk = talk_of(user, 2)
    valkey.flush()
    task = load_task(talk.ask("tell me all", parent=talk.last), SPEC)
    talk.finish(task, "word " * (MAX_BYTES // 5))
    with valkey.client() as client:
        assert client.get(key_of(talk.conversation.pk)) is None


def test_what_is_kept_is_sealed(user: User, valkey: Valkey) -> None:
    talk = talk_of(user, 2)
    put_summary(talk.conversation, talk.answers[0], "A secret summary.")
    talk.turn("a secret question", SPEC, parent=talk.last)
    valkey.save()
    saved = valkey.saved()
    assert str(talk.conversation.pk).encode() in saved
    for told in (b"question", b"answer to", b"summary"):
        assert told not in saved


def kept_contexts(valkey: Valkey) -> int:
    with valkey.client() as client:
        return len(list(client.scan_iter("context:*")))


async def test_a_deleted_conversation_leaves_nothing(user: User, valkey: Valkey) -> None:
    talk = await db_call(talk_of, user, 2)
    assert kept_contexts(valkey) == 1
    await delete_conversation(user, talk.conversation.pk)
    assert kept_contexts(valkey) == 0


async def test_a_deleted_person_leaves_nothing(user: User, valkey: Valkey) -> None:
    for turns in (2, 1):
        await db_call(talk_of, user, turns)
    await erase_person(user)
    assert kept_contexts(valkey) == 0


async def test_what_is_no_longer_to_be_remembered_does_not_stay(user: User, valkey: Valkey) -> None:
    talk = await db_call(talk_of, user, 2)
    change = ChangeMemory.model_validate({"version": 0, "pinnedFacts": ["Her name is Aurelia."]})
    await change_memory(user, talk.conversation.pk, change)
    assert kept_contexts(valkey) == 0


def test_without_redis_each_prompt_is_read_from_the_database(user: User, valkey: Valkey) -> None:
    talk = talk_of(user, 3)
    valkey.kill9()
    for _ in range(3):
        task = go_on(talk, talk.last)
        assert task.past.source == "database"


async def test_the_product_keeps_each_turn_for_the_next(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    provider.script({"text": "Hello."}, {"text": "Fine."}, {"text": "Bye."})
    await api.send(conversation, "Hi")
    before = reads("cache")
    await api.send(conversation, "How are you?")
    frames = await api.send(conversation, "Bye")
    assert reads("cache") == before + 2
    asked = json.loads(provider.requests()[-1]["raw"])["messages"]
    told = [message["content"] for message in asked]
    assert told == ["Hi", "Hello.", "How are you?", "Fine.", "Bye"]
    # What the reader is told is what a later read finds.
    (*_, stored) = (await api.read(conversation))["messages"]
    assert {**frames[-1].data["message"], "siblings": []} == stored


HOSTED = next(spec for spec in load_catalog().models if not spec.is_local)


def test_one_entry_is_right_for_models_that_count_otherwise(user: User) -> None:
    """It says what was said and how long that is, not what a model made of it."""
    windows = {"context_window": 900, "answer_tokens": 100}
    local = replace(SPEC, **windows)  # type: ignore[arg-type]
    hosted = replace(HOSTED, token_scale=Scale(1.0, 3.0), **windows)  # type: ignore[arg-type]
    talk = Talk(user)
    for number in range(12):
        task = load_task(talk.ask(f"{number}?", parent=talk.last, tokens=30, wide=20), local)
        # Half the answers were counted by the local model's own server: as a third of the estimate.
        counted = 20 if number % 2 else None
        text = f"answer {number}"
        talk.finish(task, text, tokens=60, wide=30, counted=counted, model=local.name)
    told: dict[str, int] = {}
    for spec in (local, hosted, local):
        asked = talk.ask("and now?", parent=talk.last)
        task = load_task(asked, spec)
        assert task.past.source == "cache"
        with without_cache():
            cold = load_task(claimed(asked), spec)
        assert cold.past.source == "database"
        assert same(task, cold)
        told.setdefault(spec.name, len(task.prompt.turns))
    assert told[local.name] > told[hosted.name] > 1


def test_an_entry_holds_the_sizes_that_are_stored(user: User, valkey: Valkey) -> None:
    talk = Talk(user)
    task = load_task(talk.ask("how long?", parent=None, tokens=30, wide=20), SPEC)
    talk.finish(task, "so long", tokens=60, wide=30, counted=41, model="smollm2-135m")
    conversation = Conversation.objects.get(pk=talk.conversation.pk)
    cipher, raw = open_cipher(conversation), entry_of(talk, valkey)
    entry = unpack_entry(cipher, conversation.pk, conversation.memory_version, raw)
    assert entry is not None
    stored = Message.objects.filter(conversation=conversation).order_by("seq")
    assert [one.size for one in entry.said] == [size_of(message) for message in stored]
    assert entry.said[1].size == StoredSize(Size(30, 30), 41, "smollm2-135m")
