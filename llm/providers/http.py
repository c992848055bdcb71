"""What the adapters share: one question over HTTP, its answer as a stream of typed events."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakSet

import aiohttp
import orjson

from llm.errors import (
    ProviderError,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
)
from llm.providers.base import CallSheet, Timeouts
from llm.providers.body import AnswerBody
from llm.providers.connections import Endpoint, open_session
from llm.providers.decoding import AnswerStream
from llm.providers.failures import describe, error_from_status
from llm.providers.pacing import Pacer
from llm.providers.quotas import read_quota
from llm.providers.rate_headers import seconds_until_reset
from llm.types import Prompt, StreamEvent, TextDelta

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """Where questions to an endpoint go, with the headers that all of them carry."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


class EncodeQuestion(Protocol):
    """Return the body of a request for a streamed answer."""

    def __call__(self, prompt: Prompt, *, model_id: str) -> bytes: ...


class HttpProvider:
    """Stream answers from one endpoint over a shared connection pool."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        address: Address,
        encode: EncodeQuestion,
        open_stream: Callable[[], AnswerStream],
        timeouts: Timeouts | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        self._address = address
        self._encode = encode
        self._open_stream = open_stream
        self._timeouts = timeouts or Timeouts()
        self._session = open_session(endpoint)
        self._pacer = pacer or Pacer()
        # Those that are read, and those that may yet give their connection back.
        self._responses: WeakSet[aiohttp.ClientResponse] = WeakSet()

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        for response in list(self._responses):
            response.close()
        await self._session.close()

    async def stream(
        self, prompt: Prompt, *, model_id: str, sheet: CallSheet | None = None
    ) -> AsyncGenerator[StreamEvent]:
        """Yield the answer; see `Provider.stream`."""
        sheet = sheet or CallSheet()
        patience_s = min(self._timeouts.first_token_s, sheet.first_token_s or math.inf)
        deadline = asyncio.get_running_loop().time() + patience_s
        response = await self._open(prompt, sheet, model_id=model_id, deadline=deadline)
        self._responses.add(response)
        body = AnswerBody(response, deadline=deadline, timeouts=self._timeouts, pacer=self._pacer)
        answer = self._open_stream()
        try:
            while chunk := await body.read():
                for event in answer.feed(chunk):
                    yield event
                    if type(event) is TextDelta:
                        body.text_seen()
                if answer.is_done:
                    return
            for event in answer.finish():
                yield event
        finally:
            sheet.has_opened = answer.has_opened
            sheet.announced, sheet.is_whole = answer.announced, answer.has_stopped
            body.close(is_finished=answer.is_done)

    async def _open(
        self, prompt: Prompt, sheet: CallSheet, *, model_id: str, deadline: float
    ) -> aiohttp.ClientResponse:
        if self._session.closed:
            raise ProviderUnavailable
        question = self._encode(prompt, model_id=model_id)
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._session.post(
                    self._address.url,
                    data=question,
                    headers=self._address.headers,
                    # A prompt and its key go where they were meant to, and nowhere else.
                    allow_redirects=False,
                )
                sheet.quota = read_quota(response.headers)
                if not 200 <= response.status < 300:
                    raise await _refusal(response)
        except aiohttp.ClientError as exc:
            # Also when connecting takes too long: that is a timeout of the client's own.
            raise ProviderUnavailable from exc
        except TimeoutError as exc:
            raise ProviderTimeout from exc
        return response


async def _refusal(response: aiohttp.ClientResponse) -> ProviderError:
    """Return the error for a response with an error status, and let its connection go."""
    async with response:
        body = _decode_refusal(await response.read())
    headers = response.headers
    log.warning(
        "provider refused a request: status=%s kind=%s request_id=%s",
        response.status,
        describe(body),
        headers.get("request-id") or headers.get("x-request-id"),
    )
    retry_after = headers.get("retry-after")
    error = error_from_status(response.status, body=body, retry_after=retry_after)
    if error.retry_after_s is None and isinstance(error, ProviderRateLimited):
        error.retry_after_s = seconds_until_reset(headers, now=datetime.now(UTC))
    return error


def _decode_refusal(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")
