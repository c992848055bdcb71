"""How long a message is: what is stored of it, and what a model makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from conversations.models import Message
from llm.calibration import is_plausible
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.pricing import Call
from llm.tokens import TOKENS_PER_MESSAGE, UNKNOWN, Scale, Size, measure, measure_turn

NOTHING = Size(0)


@dataclass(frozen=True, slots=True)
class Gauge:
    """How the models of a family count, with the margin that a prompt is assembled with."""

    family: str
    scale: Scale


# Where it does not matter which model is meant.
NEUTRAL = Gauge("", UNKNOWN)


def gauge_of(spec: ModelSpec) -> Gauge:
    return Gauge(spec.family, spec.fitting_scale)


@dataclass(frozen=True, slots=True)
class StoredSize:
    """A message's size, and where it is an answer its model's own count, if the provider told one.

    Neither depends on what was learnt of a model when it was stored.
    """

    size: Size
    counted: int | None = None
    model: str = ""

    def fit(self, gauge: Gauge) -> int:
        """Return how many tokens of a prompt it takes: by its model's own count exactly."""
        if self.counted is not None and _family_of(self.model) == gauge.family:
            return self.counted + TOKENS_PER_MESSAGE
        return gauge.scale.count(self.size)


def size_of(message: Message) -> StoredSize:
    return read_size(
        message.token_count, message.wide_tokens, message.counted_tokens, message.model
    )


def read_size(tokens: int, wide: int, counted: int | None, model: str) -> StoredSize:
    """Return what a message's columns say."""
    return StoredSize(Size(tokens - wide, wide), counted, model)


def store_size(text: str, counted: int | None = None) -> dict[str, Any]:
    """Return the same columns for a message of this text."""
    size = measure_turn(text) if text else NOTHING
    return {"token_count": size.total, "wide_tokens": size.wide, "counted_tokens": counted}


def find_own_count(spec: ModelSpec | None, calls: Sequence[Call], text: str) -> int | None:
    """Return an answer's tokens as its provider counted them, if `calls` are one that wrote it all.

    None where it was not told, or was of more than the text: what a model thinks counts as output.
    """
    if spec is None or len(calls) != 1 or spec.thinking not in (None, "disabled"):
        return None
    (call,) = calls
    if not call.is_metered or call.ending != "finished":
        return None
    counted = call.usage.output_tokens
    return counted if is_plausible(counted, spec.token_scale.count(measure(text))) else None


def _family_of(model: str) -> str:
    spec = get_registry().find_known(model)
    return spec.family if spec is not None else ""
