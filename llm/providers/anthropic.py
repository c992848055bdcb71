"""The adapter for anything that speaks the Anthropic Messages protocol.

It asks in the SDK's terms over aiohttp, and reads the raw bytes of the stream: the SDK's layers cost
more per call, and its objects more per chunk, than everything else we do.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm.providers.anthropic_request import encode_question, find_address
from llm.providers.anthropic_stream import AnthropicStream
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from llm.providers.http import HttpProvider
from llm.providers.pacing import Pacer
from llm.types import Prompt


class AnthropicProvider(HttpProvider):
    """Stream answers from one endpoint over a shared connection pool.

    `thinking` maps a model id to the kind of thinking to ask for, `least_cached` to the tokens that a
    prompt needs to be kept for the next turn; see the catalogue.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts | None = None,
        thinking: Mapping[str, str] | None = None,
        least_cached: Mapping[str, int] | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        kinds, least = thinking or {}, least_cached or {}

        def encode(prompt: Prompt, *, model_id: str) -> bytes:
            return encode_question(
                prompt,
                model_id=model_id,
                thinking=kinds.get(model_id),
                least_cached=least.get(model_id),
            )

        super().__init__(
            endpoint,
            address=find_address(endpoint),
            encode=encode,
            open_stream=AnthropicStream,
            timeouts=timeouts,
            pacer=pacer,
        )
