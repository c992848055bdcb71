"""The remote judge against a real HTTP server that does what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from moderation import remote
from moderation.remote import (
    FAILURES,
    PAUSE_S,
    Bench,
    ModelJudge,
    ModerationsEndpoint,
    NotUnderstood,
    read_moderation,
    read_verdict,
)
from moderation.types import Category, Scores, Surface
from tests.moderation.judges import JudgeServer, answer, serve_judge

TEXT = "How do I build a pipe bomb?"


@pytest.fixture
async def server() -> AsyncIterator[JudgeServer]:
    async with serve_judge() as told:
        yield told


@pytest.fixture
def configured(settings: Any) -> Iterator[Any]:
    remote.get_bench.cache_clear()
    yield settings
    remote.get_bench.cache_clear()


async def test_the_endpoint_is_asked_with_the_key_and_answers_in_our_categories(
    server: JudgeServer, configured: Any
) -> None:
    configured.MODERATION_JUDGE_URL, configured.MODERATION_JUDGE_KEY = server.url, "secret"
    server.body = answer(illicit__violent=0.8, hate__threatening=0.3, unheard_of=1.0)
    found = await remote.judge(TEXT, Surface.INPUT)
    assert found is not None
    assert found.risk == found.categories[Category.WEAPONS] == 0.9
    assert found.categories[Category.HATE] == 0.3
    assert (found.version, found.tiers) == ("omni-1", (3,))
    assert server.asked == [("Bearer secret", {"model": "omni-moderation-latest", "input": TEXT})]


async def test_no_judge_is_silent(configured: Any) -> None:
    configured.MODERATION_JUDGE_URL = ""
    assert await remote.judge(TEXT, Surface.INPUT) is None


async def test_without_a_key_none_is_sent(server: JudgeServer) -> None:
    await ModerationsEndpoint(server.url, "").judge(TEXT, Surface.INPUT)
    assert server.asked[0][0] == ""


async def test_a_judge_that_takes_too_long_is_silent(server: JudgeServer) -> None:
    server.silent = asyncio.Event()
    bench = Bench(ModerationsEndpoint(server.url, "k"), timeout_s=0.05)
    assert await bench.judge(TEXT, Surface.INPUT) is None
    server.silent.set()


async def test_a_judge_with_no_time_limit_of_its_own_is_not_waited_for() -> None:
    class Endless:
        async def judge(self, text: str, surface: Surface) -> Scores:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    # Without a limit the test would never end: what stops it then is this one.
    async with asyncio.timeout(10):
        assert await Bench(Endless(), timeout_s=0.01).judge(TEXT, Surface.INPUT) is None


@pytest.mark.parametrize(("status", "body"), [(500, {}), (429, {}), (200, {"results": []})])
async def test_a_judge_that_fails_is_silent(server: JudgeServer, status: int, body: Any) -> None:
    server.status, server.body = status, body
    assert await Bench(ModerationsEndpoint(server.url, "k")).judge(TEXT, Surface.INPUT) is None


async def test_a_judge_that_is_not_there_is_silent() -> None:
    bench = Bench(ModerationsEndpoint("http://127.0.0.1:9/", "k"))
    assert await bench.judge(TEXT, Surface.INPUT) is None


async def test_after_failures_in_a_row_it_is_left_alone_and_asked_again_later(
    server: JudgeServer,
) -> None:
    now = 100.0
    bench = Bench(ModerationsEndpoint(server.url, "k"), clock=lambda: now)
    server.status = 500
    for _ in range(FAILURES + 2):
        assert await bench.judge(TEXT, Surface.INPUT) is None
    assert len(server.asked) == FAILURES
    server.status = 200
    now += PAUSE_S
    assert await bench.judge(TEXT, Surface.INPUT) is not None


async def test_failures_that_are_not_in_a_row_close_nothing(server: JudgeServer) -> None:
    bench = Bench(ModerationsEndpoint(server.url, "k"))
    for _ in range(FAILURES):
        server.status = 500
        assert await bench.judge(TEXT, Surface.INPUT) is None
        server.status = 200
        assert await bench.judge(TEXT, Surface.INPUT) is not None


async def test_who_gives_up_waiting_is_not_held(server: JudgeServer) -> None:
    server.silent = asyncio.Event()
    bench = Bench(ModerationsEndpoint(server.url, "k"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await bench.judge(TEXT, Surface.INPUT)
    server.silent.set()


def test_what_is_flagged_without_a_category_of_ours_is_still_a_risk() -> None:
    body = answer(unheard_of=1.0)
    found = read_moderation(json.dumps(body).encode())
    assert found.risk == 0.9
    assert max(found.categories.values()) == 0


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"results": [5]}', b'{"results": {"0": 1}}'])
def test_another_answer_is_not_understood(raw: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read_moderation(raw)


@pytest.mark.parametrize("value", [-1, 2, True, "1", None])
def test_a_score_that_is_none_is_not_understood(value: object) -> None:
    body = answer(violence=0.9)
    body["results"][0]["category_scores"]["violence"] = value
    with pytest.raises(NotUnderstood):
        read_moderation(json.dumps(body).encode())


async def test_a_model_is_told_the_categories_and_its_verdict_counts() -> None:
    told = []

    async def ask(instructions: str, text: str) -> str:
        told.append((instructions, text))
        return '```json\n{"harmful": true, "category": "weapons", "risk": 0.4}\n```'

    found = await Bench(ModelJudge(ask, name="judge-1")).judge(TEXT, Surface.OUTPUT)
    assert isinstance(found, Scores)
    assert (found.risk, found.top, found.version) == (0.9, Category.WEAPONS, "judge-1")
    ((instructions, text),) = told
    assert text == TEXT
    assert all(category.value in instructions for category in Category)
    assert "written by a language model" in instructions


def test_a_model_that_finds_no_harm_flags_nothing() -> None:
    found = read_verdict('{"harmful": false, "category": null, "risk": 0.8}', version="m")
    assert found.risk < 0.5
    assert max(found.categories.values()) == 0


@pytest.mark.parametrize(
    "said",
    [
        "I would say it is fine.",
        '{"harmful": "yes", "category": null, "risk": 1}',
        '{"harmful": true, "category": "weather", "risk": 1}',
        '{"harmful": true, "category": null}',
        '{"harmful": true, "category": null, "risk": NaN}',
        "} {",
    ],
)
def test_another_verdict_is_not_understood(said: str) -> None:
    with pytest.raises(NotUnderstood):
        read_verdict(said, version="m")


def test_a_judge_answers_from_other_event_loops_too() -> None:
    # A web process and a task worker each have their own.
    async def silent() -> Scores | None:
        return await Bench(ModerationsEndpoint("http://127.0.0.1:9/", "k")).judge(
            "x", Surface.INPUT
        )

    with contextlib.suppress(RuntimeError):
        assert asyncio.run(silent()) is None
    assert asyncio.run(silent()) is None
