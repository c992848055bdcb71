"""One answer from whichever models can give it.

A call that fails is made again, or another model is asked, also in the middle of an answer: that
one goes on from the text so far in the way its catalogue entry names, or begins anew. Every call
that reached a provider is billed, whatever became of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from llm.calibration import Lessons
from llm.catalog import ModelSpec
from llm.continuing import NEXT_WAY, Question, ask_on
from llm.errors import (
    REFUSALS,
    AnswerDeclined,
    ContextOverflow,
    EmptyAnswer,
    ProviderError,
    ProviderRejected,
    StreamBroken,
    UnknownModel,
)
from llm.gate import Gate, OpenGate
from llm.pricing import Call, CallEnding, bill_call
from llm.providers.base import CallSheet, Provider
from llm.retry import RetryBudget, retry_delay_s
from llm.tokens import measure
from llm.types import Finished, Prompt, StreamEvent, TextDelta, Usage

log = logging.getLogger(__name__)

# A model that loses its connection again and again gets no further call for the same answer.
MAX_BREAKS = 2

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model, the provider that serves it, and the question as it fits this model."""

    spec: ModelSpec
    provider: Provider
    prompt: Prompt


# Returns a model's candidate, or raises ProviderError or UnknownModel.
OpenCandidate = Callable[[ModelSpec], Awaitable[Candidate]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """This model is answering, and `kept` is what stands of the answer before its first text.

    Comes right before that text; again when another call takes the answer up.
    """

    spec: ModelSpec
    kept: str = ""


EngineEvent = Chosen | StreamEvent


@dataclass(slots=True)
class Means:
    """What answers of one process share, and what a test replaces.

    `impatience_s` is how long a first text is waited for while another model could be asked. Where
    `has_queue`, a call that was one too many for its provider is not made again here: its answer
    waits in the caller's queue, if no other model takes it.
    """

    gate: Gate = field(default_factory=OpenGate)
    budget: RetryBudget = field(default_factory=RetryBudget)
    lessons: Lessons = field(default_factory=Lessons)
    impatience_s: float | None = None
    has_queue: bool = False
    sleep: Sleep = asyncio.sleep


async def stream_completion(
    route: Sequence[ModelSpec],
    open_candidate: OpenCandidate,
    *,
    kept: str = "",
    calls: list[Call] | None = None,
    means: Means | None = None,
) -> AsyncGenerator[EngineEvent]:
    """Yield `Chosen`, the answer's text, then `Finished`; consume it inside `aclosing`.

    The models are asked in the order of `route`; whoever has the answer written lets the gate
    arrange it. `kept` is what an earlier attempt left of the answer. `calls` is given each call
    once it has ended, also when the generator is closed. When no model can give the answer, raises
    the last call's ProviderError with the other failures as notes, as StreamBroken if text was
    shown.
    """
    means = means or Means()
    trail = _Trail(route, means, text=kept)
    while True:
        call: _Call | None = None
        try:
            candidate = await open_candidate(trail.spec)
            question = ask_on(candidate.prompt, trail.text, trail.spec, refused=trail.refused)
            await means.gate.enter(trail.spec)
            call = _Call(trail.spec, question, means, trail.new_sheet())
            try:
                stream = candidate.provider.stream(
                    question.prompt, model_id=trail.spec.model_id, sheet=call.sheet
                )
                async with aclosing(stream) as events:
                    async for event in events:
                        if call.has_begun and type(event) is TextDelta:
                            call.parts.append(event.text)
                            yield event
                            continue
                        for told in call.take(event):
                            yield told
                        if call.finished is not None:
                            return
            except ProviderError as exc:
                call.error = exc
                for told in call.give_back():
                    yield told
                raise
            finally:
                call.end(calls)
        except (ProviderError, UnknownModel) as exc:
            if call is not None and _is_rest_of_nothing(call.question, exc):
                yield Finished("end_turn", Usage(0, 0))
                return
            await trail.go_on(exc, call)


class _Call:
    """One request, from its question to its bill."""

    def __init__(self, spec: ModelSpec, question: Question, means: Means, sheet: CallSheet) -> None:
        self.question = question
        self.sheet = sheet
        self.parts: list[str] = []
        self.finished: Finished | None = None
        self.error: ProviderError | None = None
        self._spec = spec
        self._means = means
        # What a seam was fed; it may have kept some of it to itself.
        self._fed = ""
        means.budget.note_call(spec.provider)

    @property
    def has_begun(self) -> bool:
        """Whether all that comes now is new text."""
        return bool(self.parts)

    @property
    def was_heard(self) -> bool:
        """Whether the provider said anything, if only again what was already there."""
        return bool(self.parts or self._fed)

    @property
    def kept(self) -> str:
        return self.question.seam.kept if self.question.seam else self.question.kept

    def take(self, event: StreamEvent) -> Iterator[EngineEvent]:
        """Yield what is to be told of an event that is not simply more text."""
        if isinstance(event, TextDelta):
            text = event.text
            if self.question.seam is not None:
                self._fed += text
                text = self.question.seam.feed(text)
            yield from self._tell(text)
        else:
            yield from self.give_back()
            self.finished = event
            yield event

    def give_back(self) -> Iterator[EngineEvent]:
        """Yield the text that was held back, now that no more comes."""
        if self.question.seam is not None:
            yield from self._tell(self.question.seam.finish())

    def _tell(self, text: str) -> Iterator[EngineEvent]:
        if not text:
            return
        if not self.parts:
            self._tell_quota()
            self._means.gate.heard(self._spec)
            yield Chosen(self._spec, self.kept)
        self.parts.append(text)
        yield TextDelta(text)

    def end(self, calls: list[Call] | None) -> None:
        """Say how it ended, and bill it if it reached the provider."""
        if not self.has_begun:
            self._tell_quota()
        self._means.gate.leave(self._spec, self.error, was_heard=self.was_heard)
        ending: CallEnding = "finished" if self.finished else "stopped"
        if self.error is not None:
            ending = "failed"
        told = self.sheet.announced if self.sheet.is_whole else None
        if self.finished is not None:
            told = self.finished.usage if self.finished.is_metered else None
            if told is not None:
                self._means.lessons.hear(self._spec, self.question.prompt, told)
        usage = told or self._estimate()
        if calls is not None and (told or usage.total_tokens):
            is_metered = told is not None
            calls.append(bill_call(self._spec, usage, is_metered=is_metered, ending=ending))

    def _tell_quota(self) -> None:
        if self.sheet.quota is not None:
            self._means.gate.told(self._spec, self.sheet.quota)

    def _estimate(self) -> Usage:
        """Return what a call used of which its provider did not tell the whole."""
        said = self._fed + "".join(self.parts[1:] if self._fed else self.parts)
        scale = self._spec.token_scale
        written = scale.count(measure(said))
        if (announced := self.sheet.announced) is not None:
            # The output that is announced before there is any stands for nothing.
            return replace(announced, output_tokens=written)
        if not said and not self.sheet.has_opened:
            return Usage(0, 0)
        return Usage(scale.count_prompt(self.question.prompt), written)


class _Trail:
    """Which model is asked next, and what it goes on from."""

    def __init__(self, route: Sequence[ModelSpec], means: Means, *, text: str) -> None:
        if not route:
            raise ValueError("the route names no candidate")
        self._route = route
        self._means = means
        self._at = 0
        self._failed_calls = 0
        self._breaks: Counter[str] = Counter()
        self._failures: list[ProviderError | UnknownModel] = []
        # What is told in the end: of the last call, rather than why another could not be made.
        self._telling: ProviderError | UnknownModel | None = None
        self._has_shown = False
        self.text = text
        self.refused: set[tuple[str, str]] = set()

    @property
    def spec(self) -> ModelSpec:
        return self._route[self._at]

    @property
    def _has_another(self) -> bool:
        return self._at + 1 < len(self._route)

    def new_sheet(self) -> CallSheet:
        return CallSheet(first_token_s=self._means.impatience_s if self._has_another else None)

    async def go_on(self, error: ProviderError | UnknownModel, call: _Call | None) -> None:
        """Return when the next call is to be made. Raises the error when none is left to make."""
        spec = self.spec
        if call is not None and call.parts:
            self._has_shown = True
            self.text = call.kept + "".join(call.parts)
            self._failed_calls = 0
            self._breaks[spec.name] += 1
        if call is not None and self._was_refused(call, error):
            return
        self._failures.append(error)
        if call is not None or self._telling is None:
            self._telling = error
        log.warning("%s failed: %s", spec.name, error.code)
        waits_elsewhere = self._means.has_queue and isinstance(error, REFUSALS)
        if waits_elsewhere and not (call is not None and call.parts):
            delay_s = None
        else:
            delay_s = self._delay_s(error)
        if delay_s is not None:
            self._failed_calls += 1
            await self._means.sleep(delay_s)
        elif self._has_another:
            self._at += 1
            self._failed_calls = 0
        else:
            self._give_up(self._telling)

    def _was_refused(self, call: _Call, error: Exception) -> bool:
        """Note that a model does not take a started answer in this way; it gets another."""
        way = call.question.way
        is_refusal = isinstance(error, ProviderRejected) and not isinstance(error, ContextOverflow)
        if call.parts or not is_refusal or way not in NEXT_WAY:
            return False
        self.refused.add((self.spec.name, way))
        return True

    def _delay_s(self, error: ProviderError | UnknownModel) -> float | None:
        spec = self.spec
        if isinstance(error, UnknownModel):
            return None
        breaks = self._breaks[spec.name]
        if breaks > (1 if self._has_another else MAX_BREAKS):
            return None
        attempt = max(self._failed_calls, breaks - 1 if self._has_another else 0)
        delay_s = retry_delay_s(error, attempt=attempt, has_another=self._has_another)
        if delay_s is None or not self._means.budget.take(spec.provider):
            return None
        return delay_s

    def _give_up(self, error: ProviderError | UnknownModel) -> None:
        for other in self._failures:
            if other is not error:
                error.add_note(f"besides: {other.code}")
        if self._has_shown:
            raise StreamBroken(retry_after_s=error.retry_after_s) from error
        raise error


def _is_rest_of_nothing(question: Question, error: Exception) -> bool:
    """Say whether an answer was already whole when its model was asked to go on from it."""
    is_empty = isinstance(error, EmptyAnswer) and not isinstance(error, AnswerDeclined)
    return is_empty and bool(question.kept)
