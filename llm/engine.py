"""One answer from whichever candidate can give it.

Nothing is spliced: retries and fallbacks happen before the first text only. A failure after it
raises StreamBroken, and the caller decides what becomes of the text that was shown.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from llm.admission.gate import Gate, OpenGate
from llm.catalog import ModelSpec
from llm.errors import (
    AnswerDeclined,
    EmptyAnswer,
    ProviderBusy,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    StreamBroken,
)
from llm.providers.base import Provider
from llm.retry import retry_delay_s
from llm.types import Finished, Prompt, StreamEvent, TextDelta, Usage

log = logging.getLogger(__name__)

# A provider that says so takes too many calls already; others may be taken.
REFUSALS = (ProviderRateLimited, ProviderOverloaded)
OPEN_GATE = OpenGate()

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and the provider that serves it."""

    spec: ModelSpec
    provider: Provider


@dataclass(frozen=True, slots=True)
class Chosen:
    """This model is answering. Comes once, right before the first text."""

    spec: ModelSpec


EngineEvent = Chosen | StreamEvent


async def stream_completion(
    prompt: Prompt,
    *,
    route: Sequence[Candidate],
    gate: Gate = OPEN_GATE,
    sleep: Sleep = asyncio.sleep,
) -> AsyncGenerator[EngineEvent]:
    """Yield `Chosen`, the answer's text, then `Finished`; consume it inside `aclosing`.

    Candidates are asked in order, each with retries. When all failed, raises the last one's
    ProviderError with the earlier failures as notes; ProviderBusy where the gate has a queue and
    one of them would answer later. A failure after the first text raises StreamBroken.
    """
    failures: list[ProviderError] = []
    for candidate in route:
        spec = candidate.spec
        fitting = replace(prompt, max_output=min(prompt.max_output, spec.max_output))
        for attempt in itertools.count():
            has_text = False
            try:
                await gate.enter(spec)
                stream = candidate.provider.stream(fitting, model_id=spec.model_id)
                async with aclosing(stream) as events:
                    async for event in events:
                        if not has_text and type(event) is TextDelta:
                            has_text = True
                            gate.accepted()
                            yield Chosen(spec)
                        yield event
                return
            except ProviderError as exc:
                error = exc
            if has_text:
                log.warning("%s broke off: %s", spec.name, error.code)
                raise StreamBroken(retry_after_s=error.retry_after_s) from error
            if _is_rest_of_nothing(prompt, error):
                yield Finished("end_turn", Usage(0, 0))
                return
            failures.append(error)
            if isinstance(error, REFUSALS):
                gate.refused(error.retry_after_s)
            _log_failure(candidate, error, attempt=attempt)
            delay_s = retry_delay_s(error, attempt=attempt)
            if delay_s is None or (gate.waits_elsewhere and isinstance(error, REFUSALS)):
                break
            await sleep(delay_s)
    raise _sum_up(failures, gate)


def _sum_up(failures: list[ProviderError], gate: Gate) -> ProviderError:
    if not failures:
        raise ValueError("the route names no candidate")
    last = failures[-1]
    waiting = [one for one in failures if isinstance(one, (*REFUSALS, ProviderBusy))]
    if gate.waits_elsewhere and waiting:
        last = ProviderBusy(retry_after_s=waiting[0].retry_after_s)
        last.__cause__ = waiting[0]
    for earlier in failures[:-1]:
        last.add_note(f"earlier: {earlier.code}")
    return last


def _is_rest_of_nothing(prompt: Prompt, error: ProviderError) -> bool:
    """Say whether an answer was already whole when its model was asked to go on from it."""
    is_empty = isinstance(error, EmptyAnswer) and not isinstance(error, AnswerDeclined)
    return is_empty and prompt.turns[-1].role == "assistant"


def _log_failure(candidate: Candidate, error: ProviderError, *, attempt: int) -> None:
    log.warning("%s failed attempt %d: %s", candidate.spec.name, attempt, error.code)
