"""The adapter for anything that speaks OpenAI's Chat Completions protocol.

OpenAI, vLLM, Ollama and llama.cpp do. It asks in the SDK's terms and reads the raw bytes, as the
adapter of the Messages protocol does, and for the same reason.
"""

from __future__ import annotations

from functools import partial

from llm.catalog import LimitField
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from llm.providers.http import HttpProvider
from llm.providers.openai_request import encode_question, find_address
from llm.providers.openai_stream import OpenAiStream
from llm.providers.pacing import Pacer


class OpenAiProvider(HttpProvider):
    """Stream answers from one endpoint over a shared connection pool."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts | None = None,
        limit_field: LimitField = "max_completion_tokens",
        pacer: Pacer | None = None,
    ) -> None:
        super().__init__(
            endpoint,
            address=find_address(endpoint),
            encode=partial(encode_question, limit_field=limit_field),
            open_stream=OpenAiStream,
            timeouts=timeouts,
            pacer=pacer,
        )
