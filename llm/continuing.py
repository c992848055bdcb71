"""How a model is asked for the rest of an answer that another call began."""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass, replace

from llm.catalog import Continuation, ModelSpec
from llm.errors import ContextOverflow
from llm.seam import Seam, SpaceSeam, cut_at_word
from llm.tokens import Scale, measure
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
    seam: Seam | SpaceSeam | None = None


def ask_on(
    prompt: Prompt, text: str, spec: ModelSpec, *, refused: Container[tuple[str, str]] = ()
) -> Question:
    """Return how to ask a model for the rest of `text`, or for the whole where it cannot go on.

    `refused` names the models and ways that were refused before. Raises ContextOverflow when the
    last message alone is too much for this model.
    """
    most = min(prompt.max_output, spec.max_output)
    prompt = replace(prompt, max_output=most)
    way = spec.continuation
    while (spec.name, way) in refused and way in NEXT_WAY:
        way = NEXT_WAY[way]
    # Providers refuse a message without a word.
    if (kept := _keep(text, way)).strip():
        added, seam = _turns_for(kept, way)
        left = max(LEAST_REST, most - spec.token_scale.count(measure(kept)))
        rest = _fit(replace(prompt, max_output=left), added, spec)
        if rest is not None:
            return Question(rest, kept, way, seam)
    # What may just fit is let through: it was accepted before by the scale as it was then.
    newest = _size(spec.token_scale, prompt.head, *prompt.texts[-1:])
    if newest > spec.context_window - most:
        raise ContextOverflow
    return Question(prompt, way="restart" if text else None)


def _keep(text: str, way: Continuation) -> str:
    """Return what stays of the text so far."""
    if way == "restart":
        return ""
    return text if way == "prefill" else cut_at_word(text)


def _turns_for(kept: str, way: Continuation) -> tuple[tuple[Turn, ...], Seam | SpaceSeam | None]:
    """Return what follows the question, and what joins the answer to the old text."""
    if way == "user_turn":
        return (Turn("assistant", kept), Turn("user", GO_ON)), Seam(kept)
    started = kept.rstrip()
    return (Turn("assistant", started),), None if started == kept else SpaceSeam(kept)


def _fit(prompt: Prompt, added: tuple[Turn, ...], spec: ModelSpec) -> Prompt | None:
    """Return the prompt with these turns, and the older ones as far as the window has room.

    None when there is none even for the question. What was written so far may be more than the
    prompt was assembled for: another model may write longer answers than this one.
    """
    scale = spec.fitting_scale
    sizes = list(map(scale.count_turn, prompt.texts))
    fixed = prompt.max_output + _size(scale, prompt.head, *(turn.text for turn in added))
    room = spec.context_window - fixed - sum(sizes)
    turns = deque(prompt.turns)
    for size in sizes[:-1]:
        if room >= 0:
            break
        room += size
        turns.popleft()
    while len(turns) > 1 and turns[0].role == "assistant":
        turns.popleft()
    return replace(prompt, turns=(*turns, *added)) if room >= 0 else None


def _size(scale: Scale, *texts: str) -> int:
    return sum(map(scale.count_turn, texts))
