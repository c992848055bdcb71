"""How a model is asked for the rest of an answer that another call began."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from llm.catalog import Continuation, ModelSpec
from llm.seam import Seam, cut_at_word
from llm.tokens import estimate_tokens
from llm.types import Prompt, Turn

# What an answer that is taken up again may still say at least, in tokens: the estimate of what it
# has said already is on the high side.
LEAST_REST = 64
# What is left to try when a model refuses to be asked in one way.
NEXT_WAY: dict[Continuation, Continuation] = {"prefill": "user_turn", "user_turn": "restart"}

GO_ON = (
    "Your last message broke off before it was complete. Write the rest of it, beginning with the "
    "very next word after its last one. Repeat nothing, add no introduction, and do not mention "
    "the interruption."
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent to a model, and what of the text so far will stand before its answer."""

    prompt: Prompt
    kept: str = ""
    way: Continuation | None = None
    seam: Seam | None = None


def ask_on(
    prompt: Prompt, text: str, spec: ModelSpec, *, refused: Container[tuple[str, str]] = ()
) -> Question:
    """Return how to ask a model for the rest of `text`, or for the whole where it cannot go on.

    `refused` names the models and ways that were refused before.
    """
    most = min(prompt.max_output, spec.max_output)
    prompt = replace(prompt, max_output=most)
    way = spec.continuation
    while (spec.name, way) in refused and way in NEXT_WAY:
        way = NEXT_WAY[way]
    if not text or way == "restart":
        return Question(prompt, way="restart" if text else None)
    kept = text if way == "prefill" else cut_at_word(text)
    asked = (Turn("user", GO_ON),) if way == "user_turn" else ()
    turns = (*prompt.turns, Turn("assistant", kept), *asked)
    rest = replace(prompt, turns=turns, max_output=max(LEAST_REST, most - estimate_tokens(kept)))
    return Question(rest, kept, way, Seam(kept) if way == "user_turn" else None)
