"""The prompt alone of what is put together for a turn."""

from __future__ import annotations

from typing import Any

from conversations.context import assemble
from llm.types import Prompt


def assemble_prompt(**given: Any) -> Prompt:
    """Return the prompt of `assemble`, which says what is to be given."""
    return assemble(**given).prompt
