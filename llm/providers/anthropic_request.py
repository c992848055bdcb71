"""What is sent to an endpoint of the Anthropic Messages protocol.

The SDK says how the protocol is spoken: address, credentials, version and the shape of a question.
Its own way to send one costs 0.5 ms of CPU or more, several times what the request itself needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import anthropic
import httpx2
import orjson
from anthropic.types import MessageParam, ThinkingConfigParam
from anthropic.types.message_create_params import MessageCreateParamsStreaming

from llm.providers.connections import Endpoint
from llm.providers.http import Address
from llm.types import Prompt

THINKING: Mapping[str, ThinkingConfigParam] = {
    "disabled": {"type": "disabled"},
    "between_tools": {"type": "between_tools"},
    "adaptive": {"type": "adaptive"},
}


def find_address(endpoint: Endpoint) -> Address:
    """Return what the SDK would send to, and with which headers."""
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
    prompt: Prompt, *, model_id: str, thinking: str | None, caches_prompt: bool
) -> bytes:
    """Return the body of a request for a streamed answer."""
    question: MessageCreateParamsStreaming = {
        "model": model_id,
        "max_tokens": prompt.max_output,
        "messages": [
            cast("MessageParam", {"role": turn.role, "content": turn.text}) for turn in prompt.turns
        ],
        "stream": True,
    }
    if prompt.system:
        question["system"] = prompt.system
    if thinking is not None:
        question["thinking"] = THINKING[thinking]
    if caches_prompt:
        question["cache_control"] = {"type": "ephemeral"}
    return orjson.dumps(question)
