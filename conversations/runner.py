"""One worker's work on one generation: prompt, stream, log, store."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import aclosing
from dataclasses import replace

from django.utils import timezone

from chatbot.core.db import patient_db_call
from chatbot.core.errors import ChatError
from chatbot.core.metrics import FIRST_TOKEN
from conversations.attempts import AttemptLog
from conversations.claims import Claim, LeaseLost
from conversations.context import continue_prompt, count_turn
from conversations.eventlog import EventLog, Fenced, LogAway, LogLost
from conversations.events import Event
from conversations.generations import Outcome, finish_generation
from conversations.models import Generation, Message, State
from conversations.prompts import load_task
from conversations.queries import try_cipher
from llm.admission.gate import SlotGate
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.engine import Candidate, Chosen, stream_completion
from llm.errors import ProviderBusy, StreamBroken
from llm.pricing import Call, CallEnding, bill_call
from llm.registry import AUTO
from llm.tokens import estimate_tokens
from llm.types import Finished, Prompt, TextDelta, Usage

logger = logging.getLogger(__name__)

# How often an answer that broke off is taken up again before the person is asked to.
MAX_RESUMPTIONS = 2
RESUMPTION_JITTER_S = 0.5
# An answer that nobody has taken for so long fails instead of going back to the queue.
MAX_WAIT_S = 600.0


class GenerationRun:
    """Writes one generation, from its claim to its terminal event."""

    def __init__(self, claim: Claim, generation: Generation, log: EventLog, gate: SlotGate) -> None:
        self._gate = gate
        self._generation = generation
        self._answer: Message | None = None
        self._log = AttemptLog(claim, log, try_cipher(generation.conversation))
        self._spec: ModelSpec | None = None
        self._prompt: Prompt | None = None
        self._calls: list[Call] = []
        self._call_began_at = 0
        self._first_token_ms: int | None = None
        self._route_reason = ""
        # Asked for before this worker could hear the bell.
        self._is_stopped = generation.stop_requested
        self._scope: asyncio.Timeout | None = None
        self.is_finishing = False

    @property
    def generation(self) -> Generation:
        """The row as it was claimed."""
        return self._generation

    @property
    def was_refused(self) -> bool:
        """Whether a provider said that it takes no more calls."""
        return self._gate.was_refused

    @property
    def claim(self) -> Claim:
        return self._log.claim

    def stop(self) -> None:
        """End the answer here, at the user's wish, and keep the text so far.

        The wish may be heard twice, from the doorbell and from the database.
        """
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Answer, store, and end the stream.

        Raises LeaseLost or Fenced when another worker has taken over; then nothing was stored.
        Raises ProviderBusy when nobody takes its call now, and cancelling it ends it too: both
        leave the generation unfinished, for the caller to hand over.
        """
        try:
            outcome = await self._write()
        except (LeaseLost, Fenced):
            raise
        except ProviderBusy:
            # What was said stands in the log before somebody else goes on from there.
            await self._log.settle()
            raise
        except Exception:
            logger.exception("Generation %s failed unexpectedly", self.claim.generation_id)
            self._bill("failed")
            outcome = self._ended(State.FAILED, error=ChatError())
        finally:
            self._gate.leave(used_tokens=self._used_tokens())
        await self._finish(outcome)

    async def _write(self) -> Outcome:
        generation = self._generation
        try:
            self._spec = get_registry().resolve(generation.requested_model)
            is_auto = generation.requested_model == AUTO
            self._route_reason = "default model" if is_auto else "chosen by name"
            await self._begin(generation)
            task = await patient_db_call(load_task, generation, self._spec)
            self._prompt, self._answer = task.prompt, task.answer
            # Another worker's call wrote it, and nobody else is there to tell.
            self._bill("lost")
            finished = await self._stream(generation)
        except ChatError as exc:
            if isinstance(exc, ProviderBusy) and self._waited_s() < MAX_WAIT_S:
                raise
            # No traceback: a provider's own words are in it, and they may quote the prompt.
            cause = type(exc.__cause__).__name__ if exc.__cause__ else "no cause"
            logger.warning("Generation %s failed: %s (%s)", generation.pk, exc.code, cause)
            self._bill("failed")
            return self._ended(State.FAILED, error=exc)
        if finished is None:
            self._bill("stopped")
            return self._ended(State.STOPPED, stop_reason="stopped")
        self._bill("finished", finished.usage if finished.is_metered else None)
        return self._ended(State.COMPLETED, stop_reason=finished.stop_reason)

    async def _begin(self, generation: Generation) -> None:
        """Open this worker's first attempt, with what earlier ones wrote if that can be used."""
        assert self._spec is not None
        # An answer that is to end here keeps its text, whatever its model could make of it.
        carries = self._spec.continues or self._is_stopped
        await self._log.begin(generation, self._spec.name, carries=carries)

    async def _stream(self, generation: Generation) -> Finished | None:
        """Return how the model finished, or None when the user stopped it."""
        try:
            async with asyncio.timeout(None) as self._scope:
                if self._is_stopped:
                    return None
                return await self._stream_to_end(generation)
        except TimeoutError:
            if not self._is_stopped:
                raise
            return None
        finally:
            self._scope = None

    async def _stream_to_end(self, generation: Generation) -> Finished:
        """Take up an answer that broke off, in a further attempt, as long as that may help."""
        resumptions = 0
        while True:
            try:
                return await self._consume()
            except StreamBroken:
                if resumptions == MAX_RESUMPTIONS:
                    raise
                resumptions += 1
                await self._resume(generation)

    async def _resume(self, generation: Generation) -> None:
        assert self._spec is not None
        self._bill("failed")
        logger.warning("Generation %s broke off and is taken up again", generation.pk)
        await asyncio.sleep(random.uniform(0, RESUMPTION_JITTER_S))  # noqa: S311 - jitter
        if not self._spec.continues:
            self._log.forget_text()
        await self._log.reopen(generation, self._spec.name)

    async def _consume(self) -> Finished:
        assert self._spec is not None
        assert self._prompt is not None
        self._call_began_at = len(self._log.text)
        provider = await get_registry().open_provider(self._spec)
        route = [Candidate(self._spec, provider)]
        prompt = continue_prompt(self._prompt, self._log.text)
        stream = stream_completion(prompt, route=route, gate=self._gate)
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    await self._show(event.text)
                elif isinstance(event, Chosen):
                    self._spec = event.spec
                else:
                    return event
        raise AssertionError("stream_completion ended without Finished")

    async def _show(self, text: str) -> None:
        await self._log.add_text(text)
        if self._first_token_ms is None:
            waited_s = self._waited_s()
            self._first_token_ms = max(0, round(waited_s * 1000))
            model = self._spec.name if self._spec else ""
            FIRST_TOKEN.labels(model=model).observe(waited_s)

    def _waited_s(self) -> float:
        return (timezone.now() - self._generation.created).total_seconds()

    def _used_tokens(self) -> int | None:
        """Return what all calls used, as far as it was said."""
        return sum(call.usage.total_tokens for call in self._calls) or None

    def _ended(
        self,
        state: State,
        *,
        stop_reason: str = "",
        error: ChatError | None = None,
    ) -> Outcome:
        text, spec = self._log.text, self._spec
        return Outcome(
            state=state,
            text=text,
            tokens=count_turn(text) if text else 0,
            calls=tuple(self._calls),
            model=spec.name if spec else "",
            provider=spec.provider if spec else "",
            route_reason=self._route_reason,
            first_token_ms=self._first_token_ms,
            stop_reason=stop_reason,
            error_code=error.code if error else "",
            error_message=error.message if error else "",
        )

    def _bill(self, ending: CallEnding, usage: Usage | None = None) -> None:
        """Keep the call that has just ended; without its provider's word, as it is estimated."""
        is_metered = usage is not None
        usage = usage or self._estimate_usage()
        self._call_began_at = len(self._log.text)
        if self._spec is not None and (is_metered or usage.total_tokens):
            self._calls.append(bill_call(self._spec, usage, is_metered=is_metered, ending=ending))

    def _estimate_usage(self) -> Usage:
        """Return what a call that was cut short cost, at most: its provider did not say."""
        written = self._log.text[self._call_began_at :]
        if self._prompt is None or not written:
            return Usage(0, 0)
        asked = sum(count_turn(turn.text) for turn in self._prompt.turns)
        return Usage(asked + count_turn(self._prompt.system), estimate_tokens(written))

    async def _finish(self, outcome: Outcome) -> None:
        """Store the answer, then end its log.

        What the log misses is mended before: afterwards no attempt is left to mend it in.
        """
        self.is_finishing = True
        await self._log.settle()
        outcome = replace(outcome, last_seq=self._log.next_seq)
        end: Event = await patient_db_call(
            finish_generation, self.claim, outcome, self._generation, self._answer
        )
        try:
            await self._log.end(end)
        except (LogLost, LogAway, Fenced):
            # It is stored: readers that find the log silent are told from the database.
            logger.warning("The end of generation %s was not logged", self.claim.generation_id)
