"""The adapter for anything that speaks the Anthropic Messages protocol.

It reads the raw bytes of the stream: the SDK's objects per chunk cost ten times what we need.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import anthropic
import httpx2

from llm.errors import ProviderError, ProviderTimeout, ProviderUnavailable, StreamCut
from llm.providers.anthropic_stream import AnthropicStream
from llm.providers.base import Timeouts
from llm.providers.failures import describe, error_from_status
from llm.types import Prompt, StreamEvent, TextDelta

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0

DRAIN_TIMEOUT_S = 0.5

KEEPALIVE_S = 30.0

# llama.cpp promises to keep a connection after a stream, then closes it: a request sent on it in
# between fails. On the loopback a new one costs nothing.
ONE_REQUEST_EACH: Mapping[str, str] = {"Connection": "close"}

# Admission decides how many requests run; the pool must not be a second, silent queue.
MAX_CONNECTIONS = 10_000

THINKING: Mapping[str, anthropic.types.ThinkingConfigParam] = {
    "disabled": {"type": "disabled"},
    "between_tools": {"type": "between_tools"},
    "adaptive": {"type": "adaptive"},
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider is and how it knows us. A local one is never reached through a proxy."""

    base_url: str
    api_key: str = field(repr=False)
    is_local: bool = False


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
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._thinking = thinking or {}
        self._caches_prompts = not endpoint.is_local
        # The watchdog in `_read` owns time; a read timeout here would count pings as life.
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        self._client = anthropic.AsyncAnthropic(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            max_retries=0,
            timeout=timeout,
            default_headers=ONE_REQUEST_EACH if endpoint.is_local else None,
            open_telemetry=False,
            http_client=anthropic.DefaultAioHttpClient(
                timeout=timeout,
                trust_env=not endpoint.is_local,
                limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_S),
            ),
        )

    async def aclose(self) -> None:
        await self._client.close()

    async def stream(self, prompt: Prompt, *, model_id: str) -> AsyncGenerator[StreamEvent]:
        """Yield the answer; see `Provider.stream`."""
        watchdog = _Watchdog(self._timeouts)
        response = await self._open(prompt, model_id=model_id, watchdog=watchdog)
        try:
            decoder = AnthropicStream()
            async with aclosing(_read(response.iter_bytes(), watchdog=watchdog)) as chunks:
                async for chunk in chunks:
                    for event in decoder.feed(chunk):
                        yield event
                        if type(event) is TextDelta:
                            watchdog.text_seen()
                    if decoder.is_done:
                        await watchdog.drain(chunks)
                        return
            for event in decoder.finish():
                yield event
        finally:
            await _close_quietly(response)

    async def _open(
        self, prompt: Prompt, *, model_id: str, watchdog: _Watchdog
    ) -> anthropic.AsyncAPIResponse[Any]:
        thinking = THINKING.get(self._thinking.get(model_id, ""))
        manager = self._client.messages.with_streaming_response.create(
            model=model_id,
            max_tokens=prompt.max_output,
            system=prompt.system or anthropic.omit,
            messages=_messages(prompt),
            stream=True,
            thinking=thinking or anthropic.omit,
            cache_control={"type": "ephemeral"} if self._caches_prompts else anthropic.omit,
        )
        try:
            async with asyncio.timeout_at(watchdog.deadline):
                return await manager.__aenter__()
        except TimeoutError as exc:
            raise ProviderTimeout from exc
        except anthropic.APIStatusError as exc:
            raise _status_error(exc) from exc
        except anthropic.APITimeoutError as exc:
            # Only connecting has a timeout of the client's own.
            raise ProviderUnavailable from exc
        except (anthropic.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError) as exc:
            raise ProviderUnavailable from exc


def _messages(prompt: Prompt) -> list[anthropic.types.MessageParam]:
    return [
        cast("anthropic.types.MessageParam", {"role": turn.role, "content": turn.text})
        for turn in prompt.turns
    ]


class _Watchdog:
    """The moment until which the next text must arrive, in the event loop's time."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._clock = asyncio.get_running_loop().time
        self._token_s = timeouts.token_s
        self.deadline = self._clock() + timeouts.first_token_s

    def text_seen(self) -> None:
        self.deadline = self._clock() + self._token_s

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Read a finished body to its end: only then can its connection serve again."""
        self.deadline = self._clock() + DRAIN_TIMEOUT_S
        with suppress(ProviderError):
            async for _ in chunks:
                pass


async def _read(chunks: AsyncIterator[bytes], *, watchdog: _Watchdog) -> AsyncGenerator[bytes]:
    """Yield the body's chunks; raise ProviderTimeout at the deadline, StreamCut at a cut."""
    while True:
        try:
            async with asyncio.timeout_at(watchdog.deadline):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as exc:
            raise ProviderTimeout from exc
        except (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, OSError) as exc:
            raise StreamCut from exc
        yield chunk


async def _close_quietly(response: anthropic.AsyncAPIResponse[Any]) -> None:
    """Give the connection up; a failure to do so says nothing about the answer."""
    try:
        await response.close()
    except (httpx2.HTTPError, aiohttp.ClientError, OSError) as exc:
        log.debug("closing a provider response failed: %s", type(exc).__name__)


def _status_error(exc: anthropic.APIStatusError) -> ProviderError:
    error = error_from_status(
        exc.status_code, body=exc.body, retry_after=exc.response.headers.get("retry-after")
    )
    log.warning(
        "provider refused a request: status=%s kind=%s request_id=%s",
        exc.status_code,
        describe(exc.body),
        exc.request_id,
    )
    return error
