"""Prompts by a scale that is learnt meanwhile: where they begin, and what they really are."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random

import pytest

from conversations.context import PastTurn
from conversations.models import Message
from conversations.prompts import window_of
from conversations.sizes import gauge_of, size_of, store_size
from llm.calibration import Lesson, begin_levels
from llm.catalog import ModelSpec
from llm.catalog_file import load_catalog
from llm.local import LocalServer
from llm.local_model import ensure_model
from llm.token_trial import measure_text, read_samples, teach
from llm.types import Prompt
from tests.conversations.assembling import assemble_prompt
from tests.llm.test_local_server import CACHE, call

SPEC = replace(load_catalog().models[0], context_window=1_600, max_output=300, answer_tokens=300)
SYSTEM = "You are a helpful assistant."


def branch(texts: list[str]) -> list[Message]:
    """Return the messages of a conversation as they are stored; the last is a question."""
    return [
        Message(seq=place, role="user" if place % 2 else "assistant", **store_size(text))
        for place, text in enumerate(texts if len(texts) % 2 else texts[:-1], 1)
    ]


def ask(texts: list[str], spec: ModelSpec) -> Prompt:
    gauge = gauge_of(spec)
    turns = [
        PastTurn(one.role, text, size_of(one).fit(gauge), one.seq)  # type: ignore[arg-type]
        for one, text in zip(branch(texts), texts, strict=False)
    ]
    return assemble_prompt(system=SYSTEM, newest_first=turns[::-1], window=window_of(spec))


def test_what_is_learnt_at_every_turn_moves_no_prompt_but_at_a_step():
    chance = Random(5)  # noqa: S311 - drawn to be drawn again
    levels = begin_levels(SPEC.token_scale).learn([Lesson("plain", 0.9)] * 2_000)
    text = "The tide comes in twice a day, a little later each time. "
    said = [text * chance.randrange(1, 5) for _ in range(401)]
    spec = replace(SPEC, token_scale=levels.scale)
    moved = trimmed = 0
    for count in range(1, len(said) + 1, 2):
        levels = levels.learn(
            Lesson("plain", 0.9 * math.exp(chance.gauss(0, 0.1))) for _ in range(10)
        )
        learnt = replace(SPEC, token_scale=levels.scale)
        prompt = ask(said[:count], learnt)
        moved += prompt != ask(said[:count], spec)
        trimmed += len(prompt.turns) < count
        spec = learnt
    assert moved <= 3
    assert trimmed > 150


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    local = LocalServer(ensure_model(CACHE, lambda message: None))
    await local.start()
    await local.wait_ready(60)
    yield local
    await local.stop()


async def count_really(server: LocalServer, prompt: Prompt) -> int:
    """Return how many tokens the model reads, its chat template included."""
    messages = [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
    body = {"system": prompt.head, "messages": messages}
    counted = await call(server, "/v1/messages/count_tokens", body)
    tokens = counted["input_tokens"]
    assert isinstance(tokens, int)
    return tokens


@pytest.mark.process
@pytest.mark.model
@pytest.mark.parametrize(
    "kind",
    [
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("english", "code", "chinese", "emoji")
        ),
        "mixed",
    ],
)
async def test_no_prompt_is_longer_than_its_window_by_the_models_own_tokenizer(server, kind):
    samples = read_samples()
    tokenized = {}
    for name, texts in samples.items():
        answers = [await call(server, "/tokenize", {"content": text}) for text in texts]
        tokenized[name] = [
            measure_text(text, len(answer["tokens"]))  # type: ignore[arg-type]
            for text, answer in zip(texts, answers, strict=True)
        ]
    chance = Random(kind)  # noqa: S311 - drawn to be drawn again
    # Whatever kind of text the scale was learnt from.
    for taught in tokenized.values():
        scale = teach(taught, begin_levels(SPEC.token_scale)).scale
        spec = replace(SPEC, token_scale=scale)
        for length in (1, 9, 41):
            prompt = ask(chance.choices(samples[kind], k=length), spec)
            assert await count_really(server, prompt) + spec.answer_tokens <= spec.context_window
            if length == 41:
                assert len(prompt.turns) < length
