"""Retries and fallbacks, and the line they never cross."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from llm.catalog_file import load_catalog
from llm.engine import Candidate, Chosen, EngineEvent, stream_completion
from llm.errors import (
    ContextOverflow,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderUnavailable,
    StreamBroken,
    StreamCut,
)
from llm.types import Finished, Prompt, StreamEvent, TextDelta, Usage
from tests.llm.asking import HELLO

CATALOG = load_catalog()
FIRST, SECOND = CATALOG.models[1], CATALOG.models[2]
DONE = Finished("end_turn", Usage(1, 1))


class Queue:
    """A provider that gives one prepared series of events or errors per request."""

    def __init__(self, *series: list[StreamEvent | ProviderError]) -> None:
        self.series = list(series)
        self.prompts: list[Prompt] = []
        self.open = 0

    async def stream(self, prompt: Prompt, *, model_id: str) -> AsyncGenerator[StreamEvent]:
        self.prompts.append(prompt)
        self.open += 1
        try:
            for event in self.series.pop(0):
                if isinstance(event, ProviderError):
                    raise event
                yield event
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        self.series.clear()


async def no_wait(delay_s: float) -> None:
    assert 0 <= delay_s <= 8.5


async def complete(*providers: Queue) -> list[EngineEvent]:
    specs = (FIRST, SECOND)
    route = [Candidate(spec, provider) for spec, provider in zip(specs, providers, strict=False)]
    async with aclosing(stream_completion(HELLO, route=route, sleep=no_wait)) as events:
        return [event async for event in events]


async def test_names_the_model_right_before_its_first_text():
    assert await complete(Queue([TextDelta("Hi"), DONE])) == [Chosen(FIRST), TextDelta("Hi"), DONE]


async def test_retries_what_failed_before_any_text():
    provider = Queue([ProviderOverloaded()], [StreamCut()], [TextDelta("Hi"), DONE])
    assert (await complete(provider))[1:] == [TextDelta("Hi"), DONE]


async def test_gives_up_after_two_retries_with_the_last_error():
    provider = Queue([ProviderOverloaded()], [StreamCut()], [ProviderUnavailable()], [DONE])
    with pytest.raises(ProviderUnavailable) as caught:
        await complete(provider)
    assert len(provider.series) == 1
    assert caught.value.__notes__ == ["earlier: provider_overloaded", "earlier: stream_cut"]


async def test_does_not_retry_what_cannot_succeed():
    provider = Queue([ContextOverflow()], [DONE])
    with pytest.raises(ContextOverflow):
        await complete(provider)
    assert len(provider.series) == 1


async def test_does_not_wait_longer_than_a_reader_would():
    provider = Queue([ProviderRateLimited(retry_after_s=60)], [DONE])
    with pytest.raises(ProviderRateLimited):
        await complete(provider)
    assert len(provider.series) == 1


async def test_moves_to_the_next_candidate_and_says_so():
    failing = Queue([ProviderUnavailable()], [ProviderUnavailable()], [ProviderUnavailable()])
    spare = Queue([TextDelta("Hi"), DONE])
    assert (await complete(failing, spare))[0] == Chosen(SECOND)


async def test_does_not_fall_back_once_text_was_shown():
    cut = StreamCut()
    half, spare = Queue([TextDelta("Hi"), cut]), Queue([TextDelta("No"), DONE])
    seen = []
    with pytest.raises(StreamBroken) as caught:
        async with aclosing(
            stream_completion(
                HELLO, route=[Candidate(FIRST, half), Candidate(SECOND, spare)], sleep=no_wait
            )
        ) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    seen.append(event.text)
    assert seen == ["Hi"]
    assert caught.value.__cause__ is cut
    assert not spare.prompts


async def test_closing_it_closes_the_provider():
    provider = Queue([TextDelta("Hi"), TextDelta(" you"), DONE])
    async with aclosing(
        stream_completion(HELLO, route=[Candidate(FIRST, provider)], sleep=no_wait)
    ) as events:
        await anext(events)
        assert provider.open == 1
    assert provider.open == 0


async def test_never_asks_for_a_longer_answer_than_the_model_gives():
    provider = Queue([TextDelta("Hi"), DONE])
    long = replace(HELLO, max_output=10**9)
    async with aclosing(
        stream_completion(long, route=[Candidate(FIRST, provider)], sleep=no_wait)
    ) as events:
        _ = [event async for event in events]
    assert provider.prompts[0].max_output == FIRST.max_output


async def test_an_empty_route_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="no candidate"):
        await complete()
