"""One answer of the scripted provider, and what its control calls change."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.choosing import Choice
from tests.fakes.script import Script
from tests.fakes.voices import Voice

PING_EVERY_S = 0.05
KEPT_REQUESTS = 20_000


@dataclass(slots=True)
class Record:
    """One request as it was received, and how far its answer got."""

    number: int
    raw: str
    body: Any
    api_key: str
    input_tokens: int
    output_tokens: int = 0
    state: str = "open"  # then completed, refused, faulted or closed_early


@dataclass(slots=True)
class Totals:
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    open: int = 0
    peak_open: int = 0
    closed_early: int = 0
    mismatched: int = 0
    refused: int = 0
    serving: int = 0
    peak_serving: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many requests are served at once; those beyond are refused with 429."""

    at_once: int
    retry_after: str | None = None

    def refusal(self) -> Script:
        return Script(status=429, error_type="rate_limit_error", retry_after=self.retry_after)


class Cut(Exception):
    """The script tears the connection down."""


@dataclass(slots=True)
class Stage:
    """Everything that the control calls change."""

    choice: Choice = field(default_factory=Choice)
    capacity: Capacity | None = None
    records: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    totals: Totals = field(default_factory=Totals)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    # How often each fault of a script befell a request that got that far.
    struck: Counter[str] = field(default_factory=Counter)


STAGE = web.AppKey("stage", Stage)


class Answer:
    """One streamed response, written chunk by chunk at absolute deadlines."""

    def __init__(self, request: web.Request, script: Script, record: Record, voice: Voice) -> None:
        self._voice = voice
        self._request = request
        self._script = script
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._stage = request.app[STAGE]

    async def run(self) -> web.StreamResponse:
        script = self._script
        start = self._loop.time()
        if script.refuse:
            self._stage.struck["refuse"] += 1
            raise Cut
        if script.status is not None:
            self._stage.struck[str(script.status)] += 1
            return self._refusal(script.status)
        response = web.StreamResponse(
            headers={
                "content-type": "text/event-stream",
                "request-id": "req_scripted",
                **script.headers,
            }
        )
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        model = str(self._record.body.get("model", ""))
        tokens = self._record.input_tokens
        self._write(self._voice.opening(script, model=model, input_tokens=tokens))
        if script.pings_only:
            await self._ping_forever()
        if not await self._deltas(start):
            self._record.state = "faulted"
            return response
        written = self._record.output_tokens
        self._write(self._voice.closing(script, input_tokens=tokens, output_tokens=written))
        self._record.state = "completed"
        return response

    async def _deltas(self, start: float) -> bool:
        """Write the answer's text; False when the script ends it early."""
        script = self._script
        due = start + script.first_token_ms / 1000
        step = script.token_ms / 1000
        sent = 0
        for piece in script.pieces():
            if not await self._before(sent):
                return False
            await self._sleep_until(due)
            self._write(self._voice.delta(piece))
            sent += 1
            self._record.output_tokens = sent
            self._stage.totals.output_tokens += 1
            due += step
        return await self._before(sent)

    async def _before(self, sent: int) -> bool:
        """Do what the script has for this point; False when the stream ends here."""
        script = self._script
        if script.hold_after == sent:
            await self._stage.released.wait()
        self._stage.struck.update(script.faults_at(sent))
        if script.cut_after == sent:
            raise Cut
        if script.stall_after == sent:
            await asyncio.Event().wait()
        if script.ping_after == sent:
            await self._ping_forever()
        if script.malformed_after == sent:
            self._write(self._voice.malformed)
        if script.invalid_utf8_after == sent:
            self._write(self._voice.invalid_utf8)
        if script.error_event_after == sent:
            error = {"type": script.error_event, "message": script.error_message}
            self._write(self._voice.failure(error))
            return False
        return script.end_after != sent

    def _write(self, data: bytes) -> None:
        # Past aiohttp's writer on purpose: with hundreds of streams it costs more than we do.
        transport = self._request.transport
        if transport is not None:
            transport.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def _sleep_until(self, due: float) -> None:
        delay = due - self._loop.time()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _ping_forever(self) -> None:
        while True:
            self._write(self._voice.ping)
            await asyncio.sleep(PING_EVERY_S)

    def _refusal(self, status: int) -> web.Response:
        script = self._script
        headers = dict(script.headers)
        if script.retry_after is not None:
            headers["retry-after"] = script.retry_after
        self._record.state = "refused"
        error = {"type": script.error_type, "message": script.error_message}
        return web.json_response({"type": "error", "error": error}, status=status, headers=headers)
