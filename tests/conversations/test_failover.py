"""Answers whose model fails, through the whole product and two real providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from chatbot.core.db import db_call
from conversations.eventlog import EventLog
from conversations.models import Generation, State
from conversations.worker import GenerationWorker
from llm.breaker import FAILURES
from llm.conf import get_registry, set_local_endpoint
from llm.gate import OpenGate
from llm.routing import Reason
from llm.tokens import count_turn, estimate_tokens
from tests.conversations.conftest import ApiClient
from tests.conversations.workers import working
from tests.fakes.choosing import tagged
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame, text_of

pytestmark = pytest.mark.django_db(transaction=True)

CHUNKS = [f"leaf{number} " for number in range(40)]
WHOLE = "".join(CHUNKS)
MODELS = """
[[endpoint]]
name = "primary"
protocol = "{primary_protocol}"
base_url = "{primary}"

[[endpoint]]
name = "spare"
protocol = "{spare_protocol}"
base_url = "{spare}"

[[model]]
name = "primary"
display_name = "Primary"
provider = "primary"
model_id = "primary"
tier = "smart"
context_window = 8192
max_output = 1024
answer_tokens = 512
continuation = "user_turn"
fallbacks = ["spare"]
free = true

[[model]]
name = "spare"
display_name = "Spare"
provider = "spare"
model_id = "spare"
tier = "smart"
context_window = 8192
max_output = 1024
answer_tokens = 512
continuation = "{continuation}"
free = true
"""


@pytest.fixture(scope="module")
def spare_process() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def spare(spare_process: ScriptedProvider) -> ScriptedProvider:
    spare_process.reset()
    spare_process.script(chunks=CHUNKS)
    return spare_process


@pytest.fixture
async def worker(
    request: pytest.FixtureRequest,
    provider: ScriptedProvider,
    spare: ScriptedProvider,
    event_log: EventLog,
    settings: Settings,
    tmp_path: Path,
) -> AsyncIterator[GenerationWorker]:
    """A worker that has a primary and a spare model.

    The parameter says how the spare goes on, and which protocols the two speak.
    """
    default = ("user_turn", "anthropic", "anthropic")
    continuation, *protocols = getattr(request, "param", default)
    urls = [
        one.url + ("/v1" if protocol == "openai" else "")
        for one, protocol in zip((provider, spare), protocols, strict=True)
    ]
    text = MODELS.format(
        primary=urls[0],
        spare=urls[1],
        primary_protocol=protocols[0],
        spare_protocol=protocols[1],
        continuation=continuation,
    )
    (tmp_path / "models.toml").write_text(text)
    settings.MODELS_FILE = str(tmp_path / "models.toml")
    settings.ANTHROPIC_API_KEY = settings.LOCAL_MODEL_URL = ""
    settings.TOKEN_TIMEOUT_S = 1.0
    settings.FALLBACK_AFTER_S = 0.3
    settings.SENDS_PER_MINUTE = {"free": 1000, "pro": 1000}
    set_local_endpoint(None)
    get_registry().means.sleep = _at_once
    async with working(event_log, "only", concurrency=12) as one:
        yield one
    await get_registry().aclose()
    set_local_endpoint(None)


async def _at_once(delay_s: float) -> None:
    await asyncio.sleep(0)


async def ask(api: ApiClient, content: str = "Hi") -> list[Frame]:
    return await api.send(await api.new_conversation(model="primary"), content)


async def ask_many(api: ApiClient, contents: list[str]) -> list[list[Frame]]:
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(api, content)) for content in contents]
    return [task.result() for task in asking]


async def until_left_alone(api: ApiClient, provider: ScriptedProvider) -> None:
    """Ask until the primary is not asked any more, which has to be soon.

    Its breaker is open, or there is no slot: one that refuses calls has its limit halved first.
    """
    for _ in range(FAILURES):
        asked = len(provider.requests())
        assert text_of(await ask(api)) == WHOLE
        if len(provider.requests()) == asked:
            return
    raise AssertionError("the primary is asked again and again")


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429},
        {"status": 529},
        {"status": 500},
        {"status": 401},
        {"refuse": True},
        {"stall_after": 0},
        {"ping_after": 0},
        {"empty": True},
        {"cut_after": 7},
        {"stall_after": 7},
        {"malformed_after": 7},
    ],
    ids=str,
)
async def test_whatever_the_primary_does_every_answer_is_whole(
    api: ApiClient,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    fault: dict[str, Any],
) -> None:
    provider.script(chunks=CHUNKS, **fault)
    for frames in await ask_many(api, ["Hi"] * 12):
        assert frames[-1].event == "done"
        assert text_of(frames) == WHOLE
        assert [frame.data["model"] for frame in frames if frame.event == "started"][-1] == "spare"
    # How often depends: one that refuses calls is spared before its breaker opens, and on a busy
    # machine calls are given up before they reach it.
    assert provider.requests()
    await until_left_alone(api, provider)
    rows = await db_call(
        lambda: list(Generation.objects.values_list("state", "model", "route_reason"))
    )
    assert set(rows) == {(State.COMPLETED, "spare", Reason.STAND_IN)}


WAYS = [
    ("prefill", "anthropic", "anthropic"),
    ("user_turn", "anthropic", "anthropic"),
    ("restart", "anthropic", "anthropic"),
    ("prefill", "openai", "openai"),
    ("user_turn", "anthropic", "openai"),
    ("restart", "openai", "anthropic"),
]


@pytest.mark.parametrize("worker", WAYS, indirect=True, ids="-".join)
async def test_a_provider_that_dies_at_any_delta_costs_and_doubles_no_word(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider, spare: ScriptedProvider
) -> None:
    # A call that is given up before it says anything is on its provider's meter alone.
    get_registry().means.impatience_s = None
    dying = {"chunks": CHUNKS, "error_event": "overloaded_error"}
    places = range(len(CHUNKS) + 1)
    provider.script_tags({f"at{k}": [{**dying, "error_event_after": k}] for k in places})
    # A breaker would keep most of them from being asked at all.
    get_registry().means.gate = OpenGate()
    answers = await ask_many(api, [tagged("Hi", f"at{k}") for k in places])
    for k, frames in zip(places, answers, strict=True):
        assert frames[-1].event == "done", k
        assert text_of(frames) == WHOLE, k
    meters = {k: _meter(provider, spare, f'#script:at{k}"') for k in places}
    rows = await db_call(_usage)
    for k, frames in zip(places, answers, strict=True):
        started = next(frame for frame in frames if frame.event == "started")
        assert rows[started.data["generationId"]] == meters[k], k


@pytest.mark.parametrize(
    "manners",
    [
        {"repeats": 12},
        {"repeats": 100},
        {"preface": "Sure! Continuing from where I left off:\n\n", "repeats": 3},
        {"preface": "…"},
    ],
    ids=str,
)
async def test_what_a_stand_in_says_again_is_shown_once(
    api: ApiClient,
    worker: GenerationWorker,
    provider: ScriptedProvider,
    spare: ScriptedProvider,
    manners: dict[str, Any],
) -> None:
    dying = {"chunks": CHUNKS, "error_event": "overloaded_error"}
    places = range(1, len(CHUNKS) + 1)
    provider.script_tags({f"at{k}": [{**dying, "error_event_after": k}] for k in places})
    spare.script(chunks=CHUNKS, **manners)
    get_registry().means.gate = OpenGate()
    answers = await ask_many(api, [tagged("Hi", f"at{k}") for k in places])
    for k, frames in zip(places, answers, strict=True):
        assert text_of(frames) == WHOLE, k


def _meter(provider: ScriptedProvider, spare: ScriptedProvider, tag: str) -> tuple[int, int]:
    """Return what both providers counted for the messages with a tag, input and output.

    A call that died in the middle told its input by the Messages protocol, and by the other
    nothing: there the input is our estimate of what arrived, and the output always is.
    """
    read = written = 0
    for one in (provider, spare):
        for request in one.requests():
            if tag not in request["raw"]:
                continue
            is_told = request["state"] == "completed"
            is_chat = "max_completion_tokens" in request["body"]
            said = "".join(CHUNKS[: request["output_tokens"]])
            asked = [count_turn(turn["content"]) for turn in request["body"]["messages"]]
            read += sum(asked) if is_chat and not is_told else request["input_tokens"]
            written += request["output_tokens"] if is_told else estimate_tokens(said)
    return read, written


def _usage() -> dict[str, tuple[int, int]]:
    rows = Generation.objects.values_list("pk", "input_tokens", "output_tokens")
    return {str(identity): (read, written) for identity, read, written in rows}
