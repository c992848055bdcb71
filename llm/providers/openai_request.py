"""What is sent to an endpoint of OpenAI's Chat Completions protocol, in the SDK's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpx2
import orjson

from llm.catalog import LimitField
from llm.providers.connections import Endpoint
from llm.providers.http import Address
from llm.types import Prompt

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming


def find_address(endpoint: Endpoint) -> Address:
    """Return what the SDK would send to, and with which headers."""
    import openai  # See `llm.providers.sdks`.

    sdk = openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        # Nothing is sent through it.
        http_client=httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport(), trust_env=False),
    )
    defaults = {**sdk.default_headers, **sdk.auth_headers}
    headers = {name: value for name, value in defaults.items() if isinstance(value, str)}
    # A compressed stream holds tokens back, and every one costs its unpacking.
    headers |= {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    return Address(str(sdk.base_url.join("chat/completions")), headers)


def encode_question(prompt: Prompt, *, model_id: str, limit_field: LimitField) -> bytes:
    """Return the body of a request for a streamed answer."""
    messages = [
        cast("ChatCompletionMessageParam", {"role": turn.role, "content": turn.text})
        for turn in prompt.turns
    ]
    if prompt.heads:
        messages.insert(0, {"role": "system", "content": prompt.head})
    question: CompletionCreateParamsStreaming = {
        "model": model_id,
        "messages": messages,
        "stream": True,
        # Without it nobody says what the answer cost.
        "stream_options": {"include_usage": True},
    }
    question[limit_field] = prompt.max_output
    return orjson.dumps(question)
