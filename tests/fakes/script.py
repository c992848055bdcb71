"""What the scripted provider does with one request, and the bytes it says it with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

FAULTS_WITHIN = (
    "cut_after",
    "stall_after",
    "ping_after",
    "malformed_after",
    "invalid_utf8_after",
    "error_event_after",
    "end_after",
)


@dataclass(frozen=True, slots=True)
class Script:
    """One request's course. Counts named `*_after` are deltas sent before the fault."""

    first_token_ms: float = 0.0
    token_ms: float = 0.0
    tokens: int = 20
    text: str | None = None
    chunks: list[str] | None = None
    stop_reason: str | None = "end_turn"
    thinking_deltas: int = 0
    input_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: str | None = None
    error_type: str = "api_error"
    error_message: str = "scripted failure"

    refuse: bool = False
    empty: bool = False
    pings_only: bool = False
    cut_after: int | None = None
    end_after: int | None = None
    stall_after: int | None = None
    ping_after: int | None = None
    malformed_after: int | None = None
    invalid_utf8_after: int | None = None
    error_event_after: int | None = None
    error_event: str = "overloaded_error"
    hold_after: int | None = None

    # What it says before it goes on where a user's turn asks it to, and how much it says again.
    preface: str = ""
    repeats: int = 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Script:
        """Build a script; an unknown name raises ValueError, so that typos do not pass."""
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown script fields: {sorted(unknown)}")
        return cls(**values)

    def faults_at(self, sent: int) -> list[str]:
        """Return the names of the faults that come after so many deltas."""
        return [name for name in FAULTS_WITHIN if getattr(self, name) == sent]

    def with_pieces(self, pieces: list[str]) -> Script:
        return replace(self, chunks=pieces)

    def pieces(self) -> Iterator[str]:
        """Yield the texts of the deltas; joined, they are the whole answer."""
        if self.empty:
            return
        if self.chunks is not None:
            yield from self.chunks
        elif self.text is not None:
            words = self.text.split(" ")
            yield from (word + " " for word in words[:-1])
            yield words[-1]
        else:
            yield from (f"leaf{number} " for number in range(self.tokens))


def sse(name: str, data: Mapping[str, Any]) -> bytes:
    """Encode one event as the Anthropic API does."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps({"type": name, **data}))


PING = sse("ping", {})
MALFORMED = b'event: content_block_delta\ndata: {"type": "content_block_delta", "del\n\n'
INVALID_UTF8 = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"\xff\xfe"}}\n\n'
)


def delta(text: str) -> bytes:
    # The benchmark's hot path: only the text needs encoding.
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":%s}}\n\n' % orjson.dumps(text)
    )


def opening(script: Script, *, model: str, input_tokens: int) -> bytes:
    """Return everything that precedes the first delta of text."""
    usage = {
        "input_tokens": input_tokens,
        "output_tokens": 1,
        "cache_read_input_tokens": script.cache_read_tokens,
        "cache_creation_input_tokens": script.cache_write_tokens,
    }
    message: dict[str, Any] = {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    parts = [sse("message_start", {"message": message})]
    if script.thinking_deltas:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        thought = {"type": "thinking_delta", "thinking": "hm"}
        parts.append(sse("content_block_start", {"index": 0, "content_block": block}))
        parts += [sse("content_block_delta", {"index": 0, "delta": thought})] * (
            script.thinking_deltas
        )
        parts.append(sse("content_block_stop", {"index": 0}))
    text_block = {"type": "text", "text": ""}
    parts.append(sse("content_block_start", {"index": 0, "content_block": text_block}))
    parts.append(PING)
    return b"".join(parts)


def closing(script: Script, *, output_tokens: int) -> bytes:
    """Return everything that follows the last delta of text."""
    ending = {"stop_reason": script.stop_reason, "stop_sequence": None}
    return b"".join(
        (
            sse("content_block_stop", {"index": 0}),
            sse("message_delta", {"delta": ending, "usage": {"output_tokens": output_tokens}}),
            sse("message_stop", {}),
        )
    )
