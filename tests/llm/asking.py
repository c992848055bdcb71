"""Short ways to ask a provider and to look at what came."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field

from llm.errors import ProviderError
from llm.providers.base import Provider
from llm.types import Finished, Prompt, TextDelta, Turn

HELLO = Prompt(system="Be brief.", turns=(Turn("user", "Say hello."),), max_output=64)


@dataclass
class Outcome:
    """What one stream gave: texts, then an ending or a failure."""

    texts: list[str] = field(default_factory=list)
    finished: Finished | None = None
    error: ProviderError | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)


async def ask(provider: Provider, prompt: Prompt = HELLO, *, model_id: str = "m") -> Outcome:
    """Stream one answer to its end, whichever it is."""
    outcome = Outcome()
    try:
        async with aclosing(provider.stream(prompt, model_id=model_id)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    assert outcome.finished is None
                    outcome.texts.append(event.text)
                else:
                    outcome.finished = event
    except ProviderError as error:
        outcome.error = error
    return outcome
