"""The adapter for the local model's server.

llama.cpp reads control tokens anywhere in a prompt, also in what a user wrote: a message with
`<|im_end|>` would end its turn and could go on as the system. So they are broken up here with
a zero-width space, which a reader does not see and the tokenizer does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import replace

from llm.providers.base import CallSheet, Provider
from llm.types import Prompt, StreamEvent, Turn

# All control tokens of SmolLM2's vocabulary (ids 0 to 16), by what follows their "<".
CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<jupyter_script>",
    "<empty_output>",
)
CONTROL_PATTERN = re.compile(
    "<(?=" + "|".join(re.escape(token[1:]) for token in CONTROL_TOKENS) + ")"
)
BROKEN_UP = "<\u200b"


def neutralise(text: str) -> str:
    """Return the text without control tokens, looking the same to a reader."""
    return CONTROL_PATTERN.sub(BROKEN_UP, text)


class LocalProvider:
    """A provider whose prompts cannot leave their turn."""

    def __init__(self, inner: Provider) -> None:
        self._inner = inner

    def stream(
        self, prompt: Prompt, *, model_id: str, sheet: CallSheet | None = None
    ) -> AsyncGenerator[StreamEvent]:
        """Yield the answer; see `Provider.stream`."""
        safe = replace(
            prompt,
            system=neutralise(prompt.system),
            memory=neutralise(prompt.memory),
            turns=tuple(Turn(turn.role, neutralise(turn.text)) for turn in prompt.turns),
        )
        return self._inner.stream(safe, model_id=model_id, sheet=sheet)

    async def aclose(self) -> None:
        await self._inner.aclose()
