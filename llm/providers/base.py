"""The one seam between the engine and whatever serves a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from llm.admission.slots import Quota
from llm.types import Prompt, StreamEvent, Usage

# Long prompts on a laptop's CPU take tens of seconds to read before the first token.
FIRST_TOKEN_TIMEOUT_S = 60.0
TOKEN_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Patience, in seconds: until the first text, and between one text and the next."""

    first_token_s: float = FIRST_TOKEN_TIMEOUT_S
    token_s: float = TOKEN_TIMEOUT_S


@dataclass(slots=True)
class CallSheet:
    """What its caller wants of one call and learns of it, also when it is given up.

    `first_token_s` bounds the wait for the first text further. `has_opened` says that the provider
    began to answer: it has read the prompt, if no text came. `announced` is the usage that it told:
    at the beginning the size of the prompt, and all of it if `is_whole`. `quota` is what it told of
    its limits.
    """

    first_token_s: float | None = None
    has_opened: bool = False
    announced: Usage | None = None
    is_whole: bool = False
    quota: Quota | None = None


class Provider(Protocol):
    """Something that answers prompts."""

    def stream(
        self, prompt: Prompt, *, model_id: str, sheet: CallSheet | None = None
    ) -> AsyncGenerator[StreamEvent]:
        """Yield the answer's text, then exactly one `Finished`.

        Every other outcome raises a `ProviderError`. Closing the generator ends the request at
        the provider, so consume it inside `aclosing`.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections; streams in progress fail."""
        ...
