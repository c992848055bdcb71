"""The adapter for anything that speaks the Anthropic Messages protocol.

It asks in the SDK's terms over aiohttp, and reads the raw bytes of the stream: the SDK's layers cost
more per call, and its objects more per chunk, than everything else we do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from weakref import WeakSet

import aiohttp
import orjson

from llm.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from llm.providers.anthropic_request import encode_question, find_address
from llm.providers.anthropic_stream import AnthropicStream
from llm.providers.base import Timeouts
from llm.providers.body import AnswerBody
from llm.providers.connections import Endpoint, open_session
from llm.providers.failures import describe, error_from_status
from llm.providers.pacing import Pacer
from llm.types import Prompt, StreamEvent, TextDelta

log = logging.getLogger(__name__)


class AnthropicProvider:
    """Stream answers from one endpoint over a shared connection pool.

    `thinking` maps a model id to the kind of thinking to ask for; see the catalogue.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts | None = None,
        thinking: Mapping[str, str] | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        self._caches_prompts = not endpoint.is_local
        self._timeouts = timeouts or Timeouts()
        self._thinking = thinking or {}
        self._session = open_session(endpoint)
        self._address = find_address(endpoint)
        self._pacer = pacer or Pacer()
        # Those that are read, and those that may yet give their connection back.
        self._responses: WeakSet[aiohttp.ClientResponse] = WeakSet()

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        for response in list(self._responses):
            response.close()
        await self._session.close()

    async def stream(self, prompt: Prompt, *, model_id: str) -> AsyncGenerator[StreamEvent]:
        """Yield the answer; see `Provider.stream`."""
        deadline = asyncio.get_running_loop().time() + self._timeouts.first_token_s
        response = await self._open(prompt, model_id=model_id, deadline=deadline)
        self._responses.add(response)
        body = AnswerBody(response, deadline=deadline, timeouts=self._timeouts, pacer=self._pacer)
        answer = AnthropicStream()
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
            body.close(is_finished=answer.is_done)

    async def _open(
        self, prompt: Prompt, *, model_id: str, deadline: float
    ) -> aiohttp.ClientResponse:
        if self._session.closed:
            raise ProviderUnavailable
        question = encode_question(
            prompt,
            model_id=model_id,
            thinking=self._thinking.get(model_id),
            caches_prompt=self._caches_prompts,
        )
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._session.post(
                    self._address.url,
                    data=question,
                    headers=self._address.headers,
                    # A prompt and its key go where they were meant to, and nowhere else.
                    allow_redirects=False,
                )
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
    log.warning(
        "provider refused a request: status=%s kind=%s request_id=%s",
        response.status,
        describe(body),
        response.headers.get("request-id"),
    )
    return error_from_status(
        response.status, body=body, retry_after=response.headers.get("retry-after")
    )


def _decode_refusal(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")
