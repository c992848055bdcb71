"""One worker's work on one generation: prompt, stream, log, store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from django.db import DataError
from django.utils import timezone

from chatbot.core.db import patient_db_call
from chatbot.core.errors import ChatError
from chatbot.core.metrics import FIRST_TOKEN
from conversations.attempts import AttemptLog
from conversations.choosing import Kept, find_writers, kept_route
from conversations.claims import Claim, LeaseLost
from conversations.estimates import estimate_call
from conversations.eventlog import EventLog, Fenced, LogAway, LogLost
from conversations.events import Event
from conversations.generations import Outcome, charged_before, finish_generation, halted
from conversations.guarding import find_doubt, open_gate
from conversations.models import ChoreKind, Generation, Screening, State
from conversations.places import fit_to_load
from conversations.prompts import Task, keep_context, load_task
from conversations.queries import try_cipher
from conversations.sizes import find_own_count
from llm.admission.gate import SlotGate
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.engine import Candidate, Chosen, stream_completion
from llm.errors import ProviderBusy
from llm.pricing import Call, bill_call
from llm.routing import Reason
from llm.tokens import measure
from llm.types import Finished, Prompt, TextDelta, Usage
from moderation.gate import Violation
from moderation.policies import current_policy

logger = logging.getLogger(__name__)

# An answer that nobody has taken for so long fails instead of going back to the queue.
MAX_WAIT_S = 600.0
# Judging an answer that is longer as a whole would keep the other answers waiting.
LONG_CHARS = 2_000


class GenerationRun:
    """Writes one generation, from its claim to its terminal event."""

    def __init__(self, claim: Claim, generation: Generation, log: EventLog, gate: SlotGate) -> None:
        self._gate = gate
        self._generation = generation
        self._claimed_attempt = claim.attempt
        self._task: Task | None = None
        self._log = AttemptLog(claim, log, try_cipher(generation.conversation))
        self._guard = open_gate(generation)
        # Who may answer, as it was decided and as things stand, best first; then who does.
        self._kept = Kept((), "")
        self._candidates: Sequence[ModelSpec] = ()
        self._spec: ModelSpec | None = None
        self._prompts: dict[str, Prompt] = {}
        self._calls: list[Call] = []
        self._first_token_ms: int | None = None
        # Asked for before this worker could hear the bell.
        self._is_stopped = generation.stop_requested
        self._scope: asyncio.Timeout | None = None
        self._is_carried = False
        self.is_finishing = False

    @property
    def generation(self) -> Generation:
        """The row as it was claimed."""
        return self._generation

    @property
    def calls(self) -> Sequence[Call]:
        """The calls that were made so far; complete once `run` has returned or raised."""
        return self._calls

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
            outcome = await self._end_broken()
        finally:
            self._gate.close(used_tokens=self._used_tokens())
        await self._finish(outcome)

    async def _write(self) -> Outcome:
        try:
            if self._generation.screening == Screening.SUPPORT:
                return await self._support()
            return await self._answer()
        except Violation as exc:
            return await self._halt(exc)

    async def _end_broken(self) -> Outcome:
        """End an answer that something of ours broke off, with what may be shown of it."""
        try:
            await self._let_out_rest()
        except Violation as exc:
            return await self._halt(exc)
        except (LeaseLost, Fenced):
            raise
        except Exception:
            logger.exception("Generation %s ends where it stands", self.claim.generation_id)
        return self._ended(State.FAILED, error=ChatError())

    async def _answer(self) -> Outcome:
        generation = self._generation
        try:
            kept = kept_route(generation)
            # Who is known to fail or rests stands last: its name is not told for others to take its
            # place.
            self._kept = kept
            self._candidates = await self._gate.arrange(kept.candidates)
            self._spec = self._candidates[0]
            await self._begin(generation)
            await self._load_prompt(self._spec)
            self._bill_lost()
            finished = await self._stream(generation)
        except ChatError as exc:
            if self._gate.may_wait and self._waited_s() < MAX_WAIT_S:
                raise ProviderBusy from exc
            if self._spec is None and self._claimed_attempt > 1:
                await self._keep_text(generation)
            # No traceback: a provider's own words are in it, and they may quote the prompt.
            cause = type(exc.__cause__).__name__ if exc.__cause__ else "no cause"
            logger.warning("Generation %s failed: %s (%s)", generation.pk, exc.code, cause)
            await self._let_out_rest()
            return self._ended(State.FAILED, error=exc)
        await self._let_out_rest()
        if finished is None:
            return self._ended(State.STOPPED, stop_reason="stopped")
        return self._ended(State.COMPLETED, stop_reason=finished.stop_reason)

    async def _support(self) -> Outcome:
        """Answer a person in need with what the policy says to them, without a model."""
        await self._log.begin(self._generation, self._generation.routed_model, carries=False)
        await self._log.add_text(current_policy().support_message)
        return self._ended(State.COMPLETED, stop_reason="support")

    async def _halt(self, violation: Violation) -> Outcome:
        """Take back what was told; the answer's text is a notice from now on."""
        category = violation.decision.category
        logger.warning("Generation %s is halted: %s", self._generation.pk, category)
        self.is_finishing = True
        await self._log.withdraw()
        return halted(self._ended(State.HALTED), violation)

    async def _begin(self, generation: Generation) -> None:
        """Open this worker's first attempt, with what earlier ones wrote if that can be used."""
        assert self._spec is not None
        # An answer that is to end here keeps its text, whatever its model could make of it.
        carries = self._spec.continuation != "restart" or self._is_stopped
        await self._log.begin(generation, self._spec.name, carries=carries)
        self._is_carried = bool(self._log.text)
        self._guard = open_gate(generation, text=self._log.text)

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
        completion = stream_completion(
            self._candidates,
            self._open,
            kept=self._log.text,
            calls=self._calls,
            means=replace(get_registry().means, gate=self._gate, has_queue=True),
        )
        async with aclosing(completion) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    await self._show(self._guard.feed(event.text))
                elif isinstance(event, Chosen):
                    await self._take_up(event, generation)
                else:
                    return event
        raise AssertionError("stream_completion ended without Finished")

    async def _open(self, spec: ModelSpec) -> Candidate:
        provider = await get_registry().open_provider(spec)
        return Candidate(spec, provider, await self._load_prompt(spec))

    async def _load_prompt(self, spec: ModelSpec) -> Prompt:
        """Return the question as it fits into this model's window."""
        if spec.name not in self._prompts:
            task = await patient_db_call(_load_task, self._generation, spec)
            self._task = task
            self._prompts[spec.name] = task.prompt
        return self._prompts[spec.name]

    async def _take_up(self, chosen: Chosen, generation: Generation) -> None:
        """Tell readers when another model answers, or goes on from another text than theirs."""
        spec, self._spec = self._spec, chosen.spec
        if chosen.kept != self._guard.text:
            self._put_text(chosen.kept)
        elif chosen.spec is spec:
            return
        await self._log.reopen(generation, chosen.spec.name)

    def _put_text(self, text: str) -> None:
        """Let this text pass the gate in place of what came; a beginning that readers have stays."""
        shown = min(text, self._log.text, key=len)
        if not (text.startswith(shown) and self._log.text.startswith(shown)):
            shown = ""
        doubted = self._guard.flagged if shown else None
        self._guard = open_gate(self._generation, text=shown)
        self._guard.flagged = doubted
        self._log.put_text(shown + self._guard.feed(text[len(shown) :]))

    async def _let_out_rest(self) -> None:
        """Show what the gate still holds, now that nothing more comes. Raises Violation."""
        guard = self._guard
        is_long = len(guard.text) > LONG_CHARS
        await self._show(await asyncio.to_thread(guard.finish) if is_long else guard.finish())

    async def _show(self, text: str) -> None:
        if not text:
            return
        await self._log.add_text(text)
        if self._first_token_ms is None:
            waited_s = self._waited_s()
            self._first_token_ms = max(0, round(waited_s * 1000))
            model = self._spec.name if self._spec else ""
            FIRST_TOKEN.labels(model=model).observe(waited_s)

    def _waited_s(self) -> float:
        return (timezone.now() - self._generation.created).total_seconds()

    def _used_tokens(self) -> int | None:
        """Return what all calls used, as far as it is known."""
        return sum(call.usage.total_tokens for call in self._calls) or None

    def _ended(
        self,
        state: State,
        *,
        stop_reason: str = "",
        error: ChatError | None = None,
    ) -> Outcome:
        text, spec = self._log.text, self._spec
        counted = None if self._is_carried else find_own_count(spec, self._calls, text)
        is_first = spec is None or spec is self._kept.candidates[0]
        return Outcome(
            state=state,
            text=text,
            counted_tokens=counted,
            calls=tuple(self._calls),
            **charged_before(self._generation),
            model=spec.name if spec else "",
            provider=spec.provider if spec else "",
            route_reason=self._kept.reason if is_first else Reason.STAND_IN,
            first_token_ms=self._first_token_ms,
            stop_reason=stop_reason,
            error_code=error.code if error else "",
            error_message=error.message if error else "",
            chores=tuple(self._find_chores(text)) if error is None else (),
            noted=find_doubt(self._guard),
        )

    def _find_chores(self, text: str) -> Iterator[ChoreKind]:
        """Yield what there is to do for the conversation after such an answer."""
        if self._task is None or self._spec is None or not text:
            return
        if self._spec.fitting_scale.count_turn(text) > self._task.until_summary:
            yield ChoreKind.SUMMARY
        if self._task.is_first and find_writers(self._generation.conversation):
            yield ChoreKind.TITLE

    @property
    def _is_told(self) -> bool:
        """Whether who let the generation go did so in order, and has charged its calls."""
        return self._generation.charged_attempt == self._claimed_attempt - 1

    def _bill_lost(self) -> None:
        """Bill another worker's call by the text that it left: nobody else is there to tell."""
        text, spec = self._log.text, self._spec
        if not text or spec is None or self._is_told:
            return
        prompt = self._prompts[spec.name]
        scale = spec.token_scale
        usage = Usage(scale.count_prompt(prompt), scale.count(measure(text)))
        self._calls.append(bill_call(spec, usage, is_metered=False, ending="lost"))

    async def _keep_text(self, generation: Generation) -> None:
        """Keep what readers have seen of an answer that no model is left to go on with."""
        await self._log.begin(generation, generation.routed_model, carries=True)
        self._guard = open_gate(generation, text=self._log.text)
        if self._log.text and not self._is_told:
            lost = estimate_call(generation, text=self._log.text, ending="lost")
            self._calls.append(lost)

    async def _finish(self, outcome: Outcome) -> None:
        """Store the answer, then end its log.

        What the log misses is mended before: afterwards no attempt is left to mend it in.
        """
        self.is_finishing = True
        await self._log.settle()
        outcome = replace(outcome, last_seq=self._log.next_seq)
        try:
            end = await self._store(outcome)
        except DataError:
            # A value that its column does not hold, and would not hold the next time either.
            logger.exception("Generation %s could not be stored", self.claim.generation_id)
            end = await self._store(_unstorable(outcome, self._generation))
        try:
            await self._log.end(end)
        except (LogLost, LogAway, Fenced):
            # It is stored: readers that find the log silent are told from the database.
            logger.warning("The end of generation %s was not logged", self.claim.generation_id)

    async def _store(self, outcome: Outcome) -> Event:
        return await patient_db_call(_store, self.claim, outcome, self._generation, self._task)


def _load_task(generation: Generation, spec: ModelSpec) -> Task:
    plan = generation.conversation.user.plan
    return load_task(generation, fit_to_load(spec, requested=generation.requested_model, plan=plan))


def _store(claim: Claim, outcome: Outcome, generation: Generation, task: Task | None) -> Event:
    end = finish_generation(claim, outcome, generation, task.answer if task else None)
    if task is not None:
        # Before its end is told: whoever goes on at once finds it.
        keep_context(task, outcome.text)
    return end


def _unstorable(outcome: Outcome, generation: Generation) -> Outcome:
    """Return the failed outcome of an answer whose own the database refused: its text alone.

    Its calls are charged all the same, as one whose size nobody can know.
    """
    lost = estimate_call(generation, text=outcome.text, ending="failed")
    return Outcome(
        state=State.FAILED,
        text=outcome.text,
        last_seq=outcome.last_seq,
        calls=(lost,) if outcome.calls else (),
        charged=outcome.charged,
        charged_micros=outcome.charged_micros,
        error_code=ChatError.code,
        error_message=ChatError.sentence,
        noted=outcome.noted,
    )
