"""A decoder for the Chat Completions stream: bytes in, text and one ending out.

Written after developers.openai.com, "Chat Completions: streaming events". Only what an answer
needs is read; reasoning, tool calls and fields that do not exist yet are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.errors import AnswerDeclined, EmptyAnswer, MalformedStream, StreamCut
from llm.providers.decoding import OTHER_REASON, AnswerStream, read_count
from llm.providers.failures import error_from_event
from llm.types import Finished, Usage

LAST = "[DONE]"

# The names that the rest of the service knows: those of the Messages protocol.
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


class OpenAiStream(AnswerStream):
    """Decode one answer of the Chat Completions protocol."""

    def __init__(self) -> None:
        super().__init__()
        self._usage: Usage | None = None
        self._has_refused = False

    @property
    def announced(self) -> Usage | None:
        return self._usage

    def _decode(self, data: bytes | str) -> str:
        if data == LAST:
            self._ending = self._end()
            return ""
        chunk = orjson.loads(data)
        if "error" in chunk:
            raise error_from_event(chunk)
        # The usage of the whole comes once, in a chunk that has often no choice.
        if usage := chunk.get("usage"):
            self._usage = _read_usage(usage)
        if not (choices := chunk["choices"]):
            return ""
        self._has_opened = True
        choice = choices[0]
        if (reason := choice.get("finish_reason")) is not None:
            if not isinstance(reason, str):
                raise MalformedStream
            self._stop_reason = STOP_REASONS.get(reason, OTHER_REASON)
        delta = choice["delta"]
        if delta.get("refusal"):
            self._has_refused = True
        content = delta.get("content")
        return "" if content is None else self._text(content)

    def _end(self) -> Finished:
        if self._stop_reason is None:
            raise StreamCut
        if not self._has_text:
            is_refusal = self._has_refused or self._stop_reason == "refusal"
            raise AnswerDeclined if is_refusal else EmptyAnswer
        if self._usage is None:
            return Finished(self._stop_reason, Usage(0, 0), is_metered=False)
        return Finished(self._stop_reason, self._usage)


def _read_usage(usage: Mapping[str, Any]) -> Usage:
    """Return the counts; `prompt_tokens` includes what was read from or written to a cache."""
    details = usage.get("prompt_tokens_details") or {}
    read = read_count(details.get("cached_tokens") or 0)
    written = read_count(details.get("cache_write_tokens") or 0)
    return Usage(
        input_tokens=max(0, read_count(usage["prompt_tokens"]) - read - written),
        output_tokens=read_count(usage["completion_tokens"]),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
