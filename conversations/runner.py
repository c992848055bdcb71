"""One attempt at one generation: prompt, stream, log, store."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from chatbot.core.crypto import DataCipher
from chatbot.core.db import db_call
from chatbot.core.errors import ChatError
from chatbot.core.metrics import FIRST_TOKEN
from conversations.context import count_turn
from conversations.eventlog import EventLog, Fenced, LogLost
from conversations.events import Event, EventType
from conversations.generations import (
    Claim,
    LeaseLost,
    Outcome,
    finish_generation,
    take_new_attempt,
)
from conversations.models import Generation, State
from conversations.prompts import load_prompt
from conversations.queries import try_cipher
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.engine import Candidate, Chosen, stream_completion
from llm.pricing import cost_micros
from llm.registry import AUTO
from llm.tokens import estimate_tokens
from llm.types import Finished, Prompt, TextDelta, Usage

logger = logging.getLogger(__name__)

# An answer waits for a database that is away; the pause between tries grows to this.
RETRY_CAP_S = 5.0


class GenerationRun:
    """Writes one generation, from its claim to its terminal event."""

    def __init__(self, claim: Claim, log: EventLog) -> None:
        self.claim = claim
        self._log = log
        self._key = claim.key
        self._writer = log.writer(claim.key, claim.attempt)
        self._parts: list[str] = []
        self._spec: ModelSpec | None = None
        self._prompt: Prompt | None = None
        self._first_token_ms: int | None = None
        self._route_reason = ""
        self._is_stopped = False
        self._scope: asyncio.Timeout | None = None

    def stop(self) -> None:
        """End the answer here, at the user's wish, and keep the text so far."""
        self._is_stopped = True
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Answer, store, and end the stream.

        Raises LeaseLost or Fenced when another worker has taken over; then nothing was stored.
        Cancelling it leaves the generation unfinished, for the caller to hand over.
        """
        try:
            outcome = await self._answer()
        except (LeaseLost, Fenced):
            raise
        except Exception:
            logger.exception("Generation %s failed unexpectedly", self.claim.generation_id)
            outcome = self._ended(State.FAILED, error=ChatError())
        await self._finish(outcome)

    @property
    def _text(self) -> str:
        return "".join(self._parts)

    async def _answer(self) -> Outcome:
        generation, cipher = await db_call(_load, self.claim)
        self._key = replace(self._key, cipher=cipher)
        self._writer = self._log.writer(self._key, self.claim.attempt)
        # Asked for before this worker could hear the bell.
        self._is_stopped = self._is_stopped or generation.stop_requested
        try:
            self._spec = get_registry().resolve(generation.requested_model)
            is_auto = generation.requested_model == AUTO
            self._route_reason = "default model" if is_auto else "chosen by name"
            await self._begin(generation)
            self._prompt = await db_call(load_prompt, generation, self._spec)
            finished = await self._stream(generation)
        except ChatError as exc:
            # No traceback: a provider's own words are in it, and they may quote the prompt.
            cause = type(exc.__cause__).__name__ if exc.__cause__ else "no cause"
            logger.warning("Generation %s failed: %s (%s)", generation.pk, exc.code, cause)
            return self._ended(State.FAILED, error=exc)
        if finished is None:
            return self._ended(State.STOPPED, stop_reason="stopped")
        return self._ended(State.COMPLETED, stop_reason=finished.stop_reason, usage=finished.usage)

    async def _begin(self, generation: Generation) -> None:
        """Open the attempt in the log, in a further attempt each time that loses something."""
        while True:
            try:
                await self._open_attempt(generation)
                return
            except LogLost:
                await self._take_new_attempt()

    async def _take_new_attempt(self) -> None:
        logger.warning("The event log of generation %s was lost", self.claim.generation_id)
        self.claim = await db_call(take_new_attempt, self.claim)
        self._writer = self._log.writer(self._key, self.claim.attempt)

    async def _open_attempt(self, generation: Generation) -> None:
        started = {
            "generationId": str(generation.pk),
            "messageId": str(generation.answer_id),
            "model": self._spec.name if self._spec else generation.requested_model,
            "attempt": self.claim.attempt,
        }
        await self._writer.write(EventType.STARTED, started)
        if self.claim.attempt > 1:
            await self._writer.write(EventType.SNAPSHOT, {"text": self._text})

    async def _stream(self, generation: Generation) -> Finished | None:
        """Return how the model finished, or None when the user stopped it."""
        try:
            async with asyncio.timeout(None) as self._scope:
                if self._is_stopped:
                    return None
                return await self._consume(generation)
        except TimeoutError:
            if not self._is_stopped:
                raise
            return None
        finally:
            self._scope = None

    async def _consume(self, generation: Generation) -> Finished:
        assert self._spec is not None
        assert self._prompt is not None
        provider = await get_registry().open_provider(self._spec)
        route = [Candidate(self._spec, provider)]
        async with aclosing(stream_completion(self._prompt, route=route)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    await self._show(event.text, generation)
                elif isinstance(event, Chosen):
                    self._spec = event.spec
                else:
                    return event
        raise AssertionError("stream_completion ended without Finished")

    async def _show(self, text: str, generation: Generation) -> None:
        self._parts.append(text)
        try:
            await self._writer.write(EventType.DELTA, {"text": text})
        except LogLost:
            await self._take_new_attempt()
            await self._begin(generation)
        if self._first_token_ms is None:
            waited = timezone.now() - generation.created
            self._first_token_ms = max(0, round(waited.total_seconds() * 1000))
            model = self._spec.name if self._spec else ""
            FIRST_TOKEN.labels(model=model).observe(waited.total_seconds())

    def _ended(
        self,
        state: State,
        *,
        stop_reason: str = "",
        usage: Usage | None = None,
        error: ChatError | None = None,
    ) -> Outcome:
        text, spec = self._text, self._spec
        if usage is None:
            usage = self._estimate_usage()
        return Outcome(
            state=state,
            text=text,
            last_seq=self._writer.next_seq,
            tokens=count_turn(text) if text else 0,
            usage=usage,
            cost_micros=cost_micros(usage, spec) if spec else 0,
            model=spec.name if spec else "",
            provider=spec.provider if spec else "",
            route_reason=self._route_reason,
            first_token_ms=self._first_token_ms,
            stop_reason=stop_reason,
            error_code=error.code if error else "",
            error_message=error.message if error else "",
        )

    def _estimate_usage(self) -> Usage:
        """Return what an answer that was cut short cost, at most: its provider did not say."""
        if self._prompt is None or not self._parts:
            return Usage(0, 0)
        asked = sum(count_turn(turn.text) for turn in self._prompt.turns)
        return Usage(asked + count_turn(self._prompt.system), estimate_tokens(self._text))

    async def _finish(self, outcome: Outcome) -> None:
        end = await self._store(outcome)
        try:
            await self._writer.write_event(end)
        except (LogLost, Fenced):
            # It is stored: readers that find the log silent are told from the database.
            logger.warning("The end of generation %s was not logged", self.claim.generation_id)

    async def _store(self, outcome: Outcome) -> Event:
        pause_s = 0.1
        while True:
            try:
                return await db_call(finish_generation, self.claim, outcome)
            except (OperationalError, InterfaceError):
                logger.warning("Storing generation %s must wait", self.claim.generation_id)
                await asyncio.sleep(pause_s)
                pause_s = min(RETRY_CAP_S, pause_s * 2)


def _load(claim: Claim) -> tuple[Generation, DataCipher | None]:
    held = Generation.objects.select_related("conversation__user").filter(
        pk=claim.generation_id, attempt=claim.attempt
    )
    generation = held.first()
    if generation is None:
        raise LeaseLost
    return generation, try_cipher(generation.conversation)
