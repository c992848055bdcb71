"""A decoder for the Anthropic Messages stream: bytes in, text and one ending out.

Written after platform.claude.com, "Streaming messages". Only what an answer needs is read;
thinking, signatures, pings and event types that do not exist yet are passed over.
"""

from __future__ import annotations

from typing import Any

import orjson

from llm.errors import AnswerDeclined, EmptyAnswer, MalformedStream, StreamCut
from llm.providers.decoding import OTHER_REASON, AnswerStream, read_count
from llm.providers.failures import error_from_event
from llm.types import Finished, Usage

USAGE_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
# platform.claude.com, "Handling stop reasons".
STOP_REASONS = frozenset(
    {
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    }
)


class AnthropicStream(AnswerStream):
    """Decode one answer of the Messages protocol."""

    def __init__(self) -> None:
        super().__init__()
        self._usage = dict.fromkeys(USAGE_FIELDS, 0)

    @property
    def announced(self) -> Usage | None:
        return self._counted() if self._has_opened else None

    def _decode(self, data: bytes | str) -> str:
        message = orjson.loads(data)
        match message["type"]:
            case "content_block_delta":
                delta = message["delta"]
                return self._text(delta["text"]) if delta["type"] == "text_delta" else ""
            case "content_block_start":
                block = message["content_block"]
                return self._text(block["text"]) if block["type"] == "text" else ""
            case "message_start":
                self._has_opened = True
                self._count(message["message"]["usage"])
            case "message_delta":
                if (reason := message["delta"].get("stop_reason")) is not None:
                    self._stop_reason = _known(reason)
                self._count(message.get("usage") or {})
            case "message_stop":
                self._ending = self._end()
            case "error":
                raise error_from_event(message)
        return ""

    def _count(self, usage: dict[str, Any]) -> None:
        # Counts in message_delta are cumulative: they replace those of message_start.
        for field in USAGE_FIELDS:
            value = usage.get(field)
            if value is not None:
                self._usage[field] = read_count(value)

    def _end(self) -> Finished:
        if self._stop_reason is None:
            raise StreamCut
        if not self._has_text:
            raise AnswerDeclined if self._stop_reason == "refusal" else EmptyAnswer
        return Finished(self._stop_reason, self._counted())

    def _counted(self) -> Usage:
        return Usage(
            input_tokens=self._usage["input_tokens"],
            output_tokens=self._usage["output_tokens"],
            cache_read_tokens=self._usage["cache_read_input_tokens"],
            cache_write_tokens=self._usage["cache_creation_input_tokens"],
        )


def _known(reason: Any) -> str:
    """Return a stop reason by its name; what a name may be, only the provider decides."""
    if not isinstance(reason, str):
        raise MalformedStream
    return reason if reason in STOP_REASONS else OTHER_REASON
