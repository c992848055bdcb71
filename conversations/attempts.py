"""The text of a generation and its log, through as many attempts as it takes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from chatbot.core.crypto import DataCipher
from chatbot.core.db import patient_db_call
from chatbot.core.tasks import spawn
from conversations.claims import Claim, take_new_attempt
from conversations.eventlog import EventLog, LogAway, LogLost, LogWriter, StreamKey
from conversations.events import START, Event, EventType, fold_text
from conversations.models import Generation

logger = logging.getLogger(__name__)

# What a statement that has been sent may take to say whether it was carried out.
LEARN_S = 2.0
# How long an answer that is to go on from its text waits for a log that is away. Meanwhile its
# readers could be shown nothing either, and without the text nobody could end it as they saw it.
LOG_PATIENCE_S = 30.0
RETRY_S = 0.5


async def read_text(log: EventLog, key: StreamKey) -> str:
    """Return what a generation's attempts told its readers, as far as the log has it.

    Raises LogAway.
    """
    text, after = "", START
    while page := await log.read(key, after):
        text = fold_text(page, text)
        after = page[-1].cursor
    return text


class AttemptLog:
    """What one worker writes of one generation, and where it stands.

    A log that lost events is begun anew in a further attempt, with a snapshot of the text.
    Everything here may raise LeaseLost or Fenced, when the generation is another worker's.
    """

    def __init__(self, claim: Claim, log: EventLog, cipher: DataCipher | None) -> None:
        self.claim = claim
        self._log = log
        self._key = StreamKey(claim.conversation_id, claim.generation_id, cipher)
        self._writer: LogWriter = log.writer(self._key, claim.attempt)
        self._parts: list[str] = []
        self._opening: dict[str, Any] = {}

    @property
    def text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def next_seq(self) -> int:
        return self._writer.next_seq

    async def begin(self, generation: Generation, model: str, *, carries: bool) -> None:
        """Open the claimed attempt; if it `carries`, with the text that earlier ones left.

        That text is waited for, LOG_PATIENCE_S at most, while the log is away.
        """
        self._describe(generation, model)
        if self.claim.attempt == 1:
            await self._write(EventType.STARTED, self._numbered_opening())
            return
        try:
            # The attempt stands in the log before it is read: nothing is added to it after.
            await self._writer.write(EventType.STARTED, self._numbered_opening())
            if carries:
                self._parts = [await self._read_before()]
            else:
                await self._writer.flush()
        except LogAway:
            logger.warning("The log of generation %s is away; it begins anew", generation.pk)
        except LogLost:
            await self._renew()
            return
        await self._write(EventType.SNAPSHOT, {"text": self.text})

    async def _read_before(self) -> str:
        """Return what the earlier attempts told. Raises LogAway once patience is at its end."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + LOG_PATIENCE_S
        while True:
            try:
                await self._writer.flush()
                return await read_text(self._log, self._key)
            except LogAway:
                if clock() >= deadline:
                    raise
                logger.warning("Generation %s waits for its log", self.claim.generation_id)
                await asyncio.sleep(RETRY_S)

    async def reopen(self, generation: Generation, model: str) -> None:
        """Go on in a further attempt, with a snapshot of the text as it is now."""
        self._describe(generation, model)
        await self._renew()

    def put_text(self, text: str) -> None:
        """Replace the text; readers have it once the log is opened again."""
        self._parts = [text]

    async def add_text(self, text: str) -> None:
        self._parts.append(text)
        try:
            await self._writer.write(EventType.DELTA, {"text": text})
        except LogLost:
            await self._renew()

    async def settle(self) -> None:
        """Return once the log holds the whole text, or cannot be had for now."""
        while True:
            try:
                await self._writer.flush()
                return
            except LogLost:
                await self._renew()
            except LogAway:
                return

    async def withdraw(self) -> None:
        """Forget the text and all that was told of it, and go on in a further attempt.

        With the log away its entries are left to expire: nobody is shown the log of such an answer.
        """
        await self._writer.drop()
        self._parts = []
        try:
            await self._log.delete(self._key)
        except LogAway:
            logger.warning(
                "The log of generation %s could not be deleted", self.claim.generation_id
            )
        await self._renew()

    async def end(self, event: Event) -> None:
        """Write the terminal event. Raises LogLost or LogAway when it is not in the log."""
        await self._writer.write_event(event)

    def _describe(self, generation: Generation, model: str) -> None:
        self._opening = {
            "generationId": str(generation.pk),
            "messageId": str(generation.answer_id),
            "model": model,
        }

    def _numbered_opening(self) -> dict[str, Any]:
        return {**self._opening, "attempt": self.claim.attempt}

    async def _write(self, kind: EventType, data: dict[str, Any]) -> None:
        try:
            await self._writer.write(kind, data)
        except LogLost:
            await self._renew()

    async def _renew(self) -> None:
        """Fence what this worker itself wrote before, and tell the whole text again."""
        while True:
            logger.warning("Generation %s goes on in a further attempt", self.claim.generation_id)
            await self._take_new_attempt()
            self._writer = self._log.writer(self._key, self.claim.attempt)
            try:
                await self._writer.write(EventType.STARTED, self._numbered_opening())
                await self._writer.write(EventType.SNAPSHOT, {"text": self.text})
                return
            except LogLost:
                continue

    async def _take_new_attempt(self) -> None:
        """Move the claim on; who is cancelled meanwhile still learns which attempt it holds."""
        taking = spawn(patient_db_call(take_new_attempt, self.claim), name="new attempt")
        try:
            self.claim = await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.wait([taking], timeout=LEARN_S)
            if taking.done() and not taking.cancelled() and taking.exception() is None:
                self.claim = taking.result()
            raise
