"""The protocols in which the scripted provider answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from tests.fakes import script as messages
from tests.fakes.script import Script


class Open(Protocol):
    def __call__(self, script: Script, *, model: str, input_tokens: int) -> bytes: ...


class Close(Protocol):
    def __call__(self, script: Script, *, input_tokens: int, output_tokens: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Voice:
    """One protocol's bytes: what opens an answer, its text, its end, and what breaks it."""

    opening: Open
    delta: Callable[[str], bytes]
    closing: Close
    failure: Callable[[Mapping[str, str]], bytes]
    ping: bytes
    malformed: bytes
    invalid_utf8: bytes


def _close_message(script: Script, *, input_tokens: int, output_tokens: int) -> bytes:
    return messages.closing(script, output_tokens=output_tokens)


MESSAGES = Voice(
    opening=messages.opening,
    delta=messages.delta,
    closing=_close_message,
    failure=lambda error: messages.sse("error", {"error": error}),
    ping=messages.PING,
    malformed=messages.MALFORMED,
    invalid_utf8=messages.INVALID_UTF8,
)

FINISH_REASONS = {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: %s\n\n" % orjson.dumps(value)


def _chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _data(
        {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "choices": [choice]}
    )


def _open_chat(script: Script, *, model: str, input_tokens: int) -> bytes:
    thoughts = [_chunk({"reasoning_content": "hm"})] * script.thinking_deltas
    return b"".join((_chunk({"role": "assistant", "content": ""}), *thoughts))


def _close_chat(script: Script, *, input_tokens: int, output_tokens: int) -> bytes:
    cached, written = script.cache_read_tokens, script.cache_write_tokens
    usage = {
        "prompt_tokens": input_tokens + cached + written,
        "completion_tokens": output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
    }
    parts = []
    if script.stop_reason is not None:
        parts.append(_chunk({}, FINISH_REASONS.get(script.stop_reason, script.stop_reason)))
    return b"".join((*parts, _data({"choices": [], "usage": usage}), b"data: [DONE]\n\n"))


CHAT = Voice(
    opening=_open_chat,
    delta=lambda text: _chunk({"content": text}),
    closing=_close_chat,
    failure=lambda error: _data({"error": error}),
    ping=b": ping\n\n",
    malformed=b'data: {"choices": [{"delta": {"con\n\n',
    invalid_utf8=b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n',
)
