"""A decoder for the Anthropic Messages stream: bytes in, text and one ending out.

Written after platform.claude.com, "Streaming messages". Only what an answer needs is read;
thinking, signatures, pings and event types that do not exist yet are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from llm.errors import AnswerDeclined, EmptyAnswer, MalformedStream, StreamCut
from llm.providers.failures import error_from_event
from llm.providers.sse import SseDecoder
from llm.types import Finished, StreamEvent, TextDelta, Usage

USAGE_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)


class AnthropicStream:
    """Decode one answer. Feed it bytes until they end, then call `finish`.

    Events come out as they are decoded, so what precedes a failure is never lost with it.
    """

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._usage = dict.fromkeys(USAGE_FIELDS, 0)
        self._stop_reason: str | None = None
        self._has_text = False
        self._is_done = False

    @property
    def is_done(self) -> bool:
        return self._is_done

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Yield what `chunk` completed.

        Raises MalformedStream, EmptyAnswer, or the provider's own in-stream error.
        """
        for event in self._sse.feed(chunk):
            if self._is_done:
                return
            try:
                message = orjson.loads(event.data)
            except orjson.JSONDecodeError as exc:
                raise MalformedStream from exc
            try:
                decoded = self._decode(message)
            except (KeyError, TypeError, AttributeError) as exc:
                raise MalformedStream from exc
            if decoded is not None:
                yield decoded

    def finish(self) -> Iterator[StreamEvent]:
        """Yield the ending if the bytes stopped after the stop reason; else raise StreamCut."""
        if self._is_done:
            return
        if self._stop_reason is None:
            raise StreamCut
        yield self._end()

    def _decode(self, message: dict[str, Any]) -> StreamEvent | None:
        match message["type"]:
            case "content_block_delta":
                delta = message["delta"]
                return self._text(delta["text"]) if delta["type"] == "text_delta" else None
            case "content_block_start":
                block = message["content_block"]
                return self._text(block["text"]) if block["type"] == "text" else None
            case "message_start":
                self._count(message["message"]["usage"])
            case "message_delta":
                self._stop_reason = message["delta"].get("stop_reason") or self._stop_reason
                self._count(message.get("usage") or {})
            case "message_stop":
                if self._stop_reason is None:
                    raise StreamCut
                return self._end()
            case "error":
                raise error_from_event(message)
        return None

    def _text(self, text: Any) -> TextDelta | None:
        if not isinstance(text, str):
            raise MalformedStream
        if not text:
            return None
        self._has_text = True
        return TextDelta(text)

    def _count(self, usage: dict[str, Any]) -> None:
        # Counts in message_delta are cumulative: they replace those of message_start.
        for field in USAGE_FIELDS:
            value = usage.get(field)
            if value is None:
                continue
            if type(value) is not int or value < 0:
                raise MalformedStream
            self._usage[field] = value

    def _end(self) -> Finished:
        self._is_done = True
        if not self._has_text:
            raise AnswerDeclined if self._stop_reason == "refusal" else EmptyAnswer
        return Finished(
            stop_reason=self._stop_reason or "",
            usage=Usage(
                input_tokens=self._usage["input_tokens"],
                output_tokens=self._usage["output_tokens"],
                cache_read_tokens=self._usage["cache_read_input_tokens"],
                cache_write_tokens=self._usage["cache_creation_input_tokens"],
            ),
        )
