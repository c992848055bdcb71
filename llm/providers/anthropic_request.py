"""What is sent to an endpoint of the Anthropic Messages protocol.

The SDK says how the protocol is spoken: address, credentials, version and the shape of a question.
Its own way to send one costs 0.5 ms of CPU or more, several times what the request itself needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import httpx2
import orjson

from llm.providers.breakpoints import Breakpoints, find_breakpoints
from llm.providers.connections import Endpoint
from llm.providers.http import Address
from llm.types import Prompt

if TYPE_CHECKING:
    from anthropic.types import MessageParam, TextBlockParam, ThinkingConfigParam
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

THINKING: Mapping[str, ThinkingConfigParam] = {
    "disabled": {"type": "disabled"},
    "between_tools": {"type": "between_tools"},
    "adaptive": {"type": "adaptive"},
}


def find_address(endpoint: Endpoint) -> Address:
    """Return what the SDK would send to, and with which headers."""
    import anthropic  # See `llm.providers.sdks`.

    sdk = anthropic.AsyncAnthropic(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        open_telemetry=False,
        # Nothing is sent through it.
        http_client=httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport(), trust_env=False),
    )
    headers = {name: value for name, value in sdk.default_headers.items() if isinstance(value, str)}
    # A compressed stream holds tokens back, and every one costs its unpacking.
    headers |= {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    return Address(str(sdk.base_url.join("v1/messages")), headers)


def encode_question(
    prompt: Prompt, *, model_id: str, thinking: str | None, least_cached: int | None
) -> bytes:
    """Return the body of a request for a streamed answer.

    `least_cached` is how many tokens a prefix needs to be kept by the provider; None marks nothing.
    """
    question: MessageCreateParamsStreaming = {
        "model": model_id,
        "max_tokens": prompt.max_output,
        "messages": [],
        "stream": True,
    }
    if least_cached is None:
        question["messages"] = [
            cast("MessageParam", {"role": turn.role, "content": turn.text}) for turn in prompt.turns
        ]
        if prompt.heads:
            question["system"] = prompt.head
    else:
        _write_blocks(question, prompt, find_breakpoints(prompt, least_tokens=least_cached))
    if thinking is not None:
        question["thinking"] = THINKING[thinking]
    return orjson.dumps(question)


def _write_blocks(
    question: MessageCreateParamsStreaming, prompt: Prompt, breakpoints: Breakpoints
) -> None:
    """Write all texts as blocks, marked or not: from turn to turn nothing changes but the marks."""
    messages: list[MessageParam] = []
    marked = breakpoints.turns
    for place, turn in enumerate(prompt.turns):
        content = [_block(turn.text, is_marked=place in marked)]
        messages.append(cast("MessageParam", {"role": turn.role, "content": content}))
    question["messages"] = messages
    heads = ((prompt.system, breakpoints.system), (prompt.memory, breakpoints.memory))
    if prompt.heads:
        question["system"] = [_block(text, is_marked=mark) for text, mark in heads if text]


def _block(text: str, *, is_marked: bool) -> TextBlockParam:
    if not is_marked:
        return {"type": "text", "text": text}
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
