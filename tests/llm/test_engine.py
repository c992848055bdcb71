"""Retries, fallbacks, and one answer out of several calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from llm.breaker import BreakerGate
from llm.catalog import Continuation, ModelSpec
from llm.catalog_file import load_catalog
from llm.continuing import GO_ON
from llm.engine import Candidate, Chosen, EngineEvent, Means, stream_completion
from llm.errors import (
    ContextOverflow,
    EmptyAnswer,
    ProviderAuthenticationFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
    StreamBroken,
    StreamCut,
)
from llm.pricing import Call
from llm.providers.base import CallSheet
from llm.retry import MOST_TOKENS, RetryBudget
from llm.types import Finished, Prompt, StreamEvent, TextDelta, Turn, Usage
from tests.llm.asking import HELLO

CATALOG = load_catalog()
FIRST = replace(CATALOG.models[1], provider="one")
SECOND = replace(CATALOG.models[2], provider="two")
DONE = Finished("end_turn", Usage(1, 1))
ANNOUNCED = Usage(11, 1)
LONG = replace(HELLO, turns=(Turn("user", "Something to read. " * 20),))


class Queue:
    """A provider that gives one prepared series of events or errors per request."""

    def __init__(self, *series: Sequence[StreamEvent | ProviderError]) -> None:
        self.series = list(series)
        self.prompts: list[Prompt] = []
        self.open = 0

    async def stream(
        self, prompt: Prompt, *, model_id: str, sheet: CallSheet | None = None
    ) -> AsyncGenerator[StreamEvent]:
        self.prompts.append(prompt)
        self.open += 1
        try:
            for event in self.series.pop(0):
                if isinstance(event, ProviderError):
                    raise event
                if sheet is not None:
                    sheet.announced = ANNOUNCED
                yield event
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        self.series.clear()


def texts(*words: str) -> list[StreamEvent | ProviderError]:
    return [TextDelta(word) for word in words]


async def no_wait(delay_s: float) -> None:
    assert 0 <= delay_s <= 8.5


async def complete(
    *providers: Queue,
    specs: tuple[ModelSpec, ...] = (FIRST, SECOND),
    prompt: Prompt = HELLO,
    kept: str = "",
    calls: list[Call] | None = None,
    means: Means | None = None,
) -> list[EngineEvent]:
    serving = {spec.name: one for spec, one in zip(specs, providers, strict=False)}

    async def open_candidate(spec: ModelSpec) -> Candidate:
        return Candidate(spec, serving[spec.name], prompt)

    means = means or Means(sleep=no_wait)
    route = await means.gate.arrange([spec for spec in specs if spec.name in serving])
    completion = stream_completion(route, open_candidate, kept=kept, calls=calls, means=means)
    async with aclosing(completion) as events:
        return [event async for event in events]


def shown(events: list[EngineEvent]) -> str:
    """Return the text that a reader of these events ends with."""
    text = ""
    for event in events:
        if isinstance(event, Chosen):
            text = event.kept
        elif isinstance(event, TextDelta):
            text += event.text
    return text


def going_on(way: Continuation) -> tuple[ModelSpec, ModelSpec]:
    return FIRST, replace(SECOND, continuation=way)


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
    assert caught.value.__notes__ == ["besides: provider_overloaded", "besides: stream_cut"]


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


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (ProviderUnavailable(), 2),
        (StreamCut(), 2),
        (ProviderOverloaded(), 1),
        (ProviderRateLimited(retry_after_s=1), 1),
        (ProviderAuthenticationFailed(), 1),
        (ProviderRejected(), 1),
    ],
)
async def test_another_model_is_asked_soon(error: ProviderError, calls: int):
    failing, spare = Queue(*[[error]] * 3), Queue([TextDelta("Hi"), DONE])
    assert (await complete(failing, spare))[0] == Chosen(SECOND)
    assert len(failing.prompts) == calls


async def test_what_fails_most_of_the_time_is_not_tried_again():
    means = Means(sleep=no_wait, budget=RetryBudget(clock=lambda: 0.0))
    while means.budget.take(FIRST.provider):
        pass
    provider = Queue([StreamCut()], [TextDelta("Hi"), DONE])
    with pytest.raises(StreamCut):
        await complete(provider, means=means)
    # Another provider has a budget of its own.
    other = Queue([StreamCut()], [TextDelta("Hi"), DONE])
    assert shown(await complete(other, specs=(SECOND,), means=means)) == "Hi"


@pytest.mark.parametrize("way", ["prefill", "user_turn", "restart"])
async def test_another_model_takes_up_what_broke_off(way: Continuation):
    half = Queue([*texts("One two ", "three "), StreamCut()], [StreamCut()])
    rest = ["three ", "four"] if way == "user_turn" else ["four"]
    said = ["One two ", "three ", "four"] if way == "restart" else rest
    spare = Queue([*texts(*said), DONE])
    events = await complete(half, spare, specs=going_on(way))
    assert shown(events) == "One two three four"
    last = next(event for event in reversed(events) if isinstance(event, Chosen))
    assert last.spec.name == SECOND.name
    assert last.kept == ("" if way == "restart" else "One two three ")
    asked = [turn.text for turn in spare.prompts[0].turns[len(HELLO.turns) :]]
    assert (
        asked
        == {
            "prefill": ["One two three"],
            "user_turn": ["One two three ", GO_ON],
            "restart": [],
        }[way]
    )


async def test_who_refuses_a_started_answer_is_asked_in_another_way():
    spare = Queue([ProviderRejected()], [ProviderRejected()], [*texts("One ", "two"), DONE])
    half = Queue([*texts("One "), StreamCut()], [StreamCut()])
    events = await complete(half, spare, specs=going_on("prefill"))
    assert shown(events) == "One two"
    assert [len(prompt.turns) for prompt in spare.prompts] == [2, 3, 1]


async def test_an_answer_of_an_earlier_worker_is_gone_on_with():
    spec = replace(FIRST, continuation="user_turn")
    events = await complete(Queue([*texts("two"), DONE]), specs=(spec,), kept="One tw")
    assert events[0] == Chosen(spec, kept="One ")
    assert shown(events) == "One two"


async def test_gives_up_on_a_model_that_breaks_off_again_and_again():
    provider = Queue(*[[*texts("a "), StreamCut()]] * 4)
    spec = replace(FIRST, continuation="prefill")
    with pytest.raises(StreamBroken) as caught:
        await complete(provider, specs=(spec,))
    assert isinstance(caught.value.__cause__, StreamCut)
    assert len(provider.prompts) == 3


async def test_an_answer_that_was_whole_already_is_finished():
    spec = replace(FIRST, continuation="prefill")
    events = await complete(Queue([EmptyAnswer()]), specs=(spec,), kept="All said.")
    assert events == [Finished("end_turn", Usage(0, 0))]


async def test_every_call_that_was_answered_is_billed():
    calls: list[Call] = []
    first = Queue([ProviderUnavailable()], [*texts("One two "), StreamCut()], [StreamCut()])
    spare = Queue([*texts("three"), DONE])
    await complete(first, spare, specs=going_on("user_turn"), calls=calls)
    assert [(call.model, call.ending, call.is_metered) for call in calls] == [
        (FIRST.name, "failed", False),
        (SECOND.name, "finished", True),
    ]
    # What the provider announced, and what was seen of its answer.
    assert calls[0].usage == Usage(11, 3)
    assert calls[1].usage == Usage(1, 1)


async def test_a_call_that_is_given_up_is_billed():
    calls: list[Call] = []
    provider = Queue([*texts("Hi", " you"), DONE])

    async def open_candidate(spec: ModelSpec) -> Candidate:
        return Candidate(spec, provider, HELLO)

    async with aclosing(stream_completion([FIRST], open_candidate, calls=calls)) as events:
        await anext(events)
        assert provider.open == 1
    assert provider.open == 0
    assert [(call.ending, call.usage) for call in calls] == [("stopped", Usage(11, 0))]


async def test_a_model_whose_breaker_is_open_is_not_asked():
    means = Means(gate=BreakerGate(), sleep=no_wait)
    failing = Queue(*[[ProviderOverloaded()]] * 50)
    for _ in range(20):
        spare = Queue([TextDelta("Hi"), DONE])
        assert shown(await complete(failing, spare, means=means)) == "Hi"
    assert len(failing.prompts) == 5
    # Who has no other is asked all the same.
    assert shown(await complete(Queue([TextDelta("Hi"), DONE]), means=means)) == "Hi"


async def test_never_asks_for_a_longer_answer_than_the_model_gives():
    provider = Queue([TextDelta("Hi"), DONE])
    await complete(provider, prompt=replace(HELLO, max_output=10**9))
    assert provider.prompts[0].max_output == FIRST.max_output


async def test_a_stand_in_with_too_small_a_window_is_passed_over():
    small = replace(SECOND, context_window=40, answer_tokens=20, max_output=20)
    spare = Queue([*texts("Never"), DONE])
    failing = Queue([StreamCut()], [ProviderUnavailable()])
    with pytest.raises(ProviderUnavailable) as caught:
        await complete(failing, spare, specs=(FIRST, small), prompt=LONG)
    assert caught.value.__notes__ == ["besides: stream_cut", "besides: context_overflow"]
    assert not spare.prompts


async def test_a_question_that_is_refused_costs_no_retries():
    means = Means(sleep=no_wait, budget=RetryBudget(clock=lambda: 0.0))
    with pytest.raises(ContextOverflow):
        await complete(Queue([ContextOverflow()]), means=means)
    assert sum(iter(lambda: means.budget.take(FIRST.provider), False)) == MOST_TOKENS


async def test_an_empty_route_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="no candidate"):
        await complete()
