"""A decoder for the Anthropic Messages stream: bytes in, text and one ending out.

Written after platform.claude.com, "Streaming messages". Only what an answer needs is read;
thinking, signatures, pings and event types that do not exist yet are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from llm.errors import AnswerDeclined, EmptyAnswer, MalformedStream, ProviderError, StreamCut
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

    What precedes a failure comes out before it and is never lost with it.
    """

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._usage = dict.fromkeys(USAGE_FIELDS, 0)
        self._stop_reason: str | None = None
        self._has_text = False
        self._ending: Finished | None = None

    @property
    def is_done(self) -> bool:
        return self._ending is not None

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Yield all the text that `chunk` completed, in one piece, then the ending if it is there.

        Raises MalformedStream, EmptyAnswer, or the provider's own in-stream error.
        """
        if self.is_done:
            return
        pieces: list[str] = []
        failure: ProviderError | None = None
        try:
            for data in self._sse.feed_json(chunk):
                if piece := self._decode(orjson.loads(data)):
                    pieces.append(piece)
                if self._ending is not None:
                    break
        except ProviderError as exc:
            failure = exc
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
            failure = MalformedStream()
            failure.__cause__ = exc
        if pieces:
            yield TextDelta("".join(pieces))
        if failure is not None:
            raise failure
        if self._ending is not None:
            yield self._ending

    def finish(self) -> Iterator[StreamEvent]:
        """Yield the ending if the bytes stopped after the stop reason; else raise StreamCut."""
        if self._ending is None:
            yield self._end()

    def _decode(self, message: dict[str, Any]) -> str:
        """Return the text that an event adds to the answer."""
        match message["type"]:
            case "content_block_delta":
                delta = message["delta"]
                return self._text(delta["text"]) if delta["type"] == "text_delta" else ""
            case "content_block_start":
                block = message["content_block"]
                return self._text(block["text"]) if block["type"] == "text" else ""
            case "message_start":
                self._count(message["message"]["usage"])
            case "message_delta":
                self._stop_reason = message["delta"].get("stop_reason") or self._stop_reason
                self._count(message.get("usage") or {})
            case "message_stop":
                self._end()
            case "error":
                raise error_from_event(message)
        return ""

    def _text(self, text: Any) -> str:
        if not isinstance(text, str):
            raise MalformedStream
        if text:
            self._has_text = True
        return text

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
        if self._stop_reason is None:
            raise StreamCut
        if not self._has_text:
            raise AnswerDeclined if self._stop_reason == "refusal" else EmptyAnswer
        self._ending = Finished(
            stop_reason=self._stop_reason,
            usage=Usage(
                input_tokens=self._usage["input_tokens"],
                output_tokens=self._usage["output_tokens"],
                cache_read_tokens=self._usage["cache_read_input_tokens"],
                cache_write_tokens=self._usage["cache_creation_input_tokens"],
            ),
        )
        return self._ending
