"""A routing decision in words, for operators. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

from llm.catalog import ModelSpec
from llm.features import Features, measure
from llm.pricing import cost_micros
from llm.routing import Asked, Route, question_tokens, worst_case_tokens
from llm.scoring import THRESHOLD
from llm.types import Usage

MICROS = 1_000_000


def explain(
    asked: Asked, route: Route, models: Sequence[ModelSpec], *, whole: bool
) -> Iterator[str]:
    """Yield lines: the model and why, what was seen, the score, the candidates and their costs.

    With `whole`, also what counted for nothing, and why other models are no candidates.
    """
    spec = route.primary
    yield f"{spec.name} ({spec.tier}): {route.reason}. {route.reason.sentence}"
    if route.score is not None:
        yield "seen:"
        yield from _show_features(measure(asked.text, tokens=question_tokens(asked)), whole=whole)
        yield f"score: {route.score.total:.2f}, smart from {THRESHOLD:.2f}"
        for trait, part in route.score.parts.items():
            if part or whole:
                yield f"  {trait:15} {part:+.2f}"
    yield "candidates, with the cost of their longest answer:"
    for place, candidate in enumerate(route.candidates, 1):
        yield f"  {place}. {_show_candidate(candidate, asked)}"
    if whole:
        yield "not candidates:"
        yield from _show_others(asked, route, models)


def _show_features(seen: Features, *, whole: bool) -> Iterator[str]:
    counts = {field.name: getattr(seen, field.name) for field in fields(seen)}
    counts |= {str(kind): number for kind, number in counts.pop("words").items()}
    for name, number in counts.items():
        if number or whole:
            yield f"  {name.replace('_', ' '):23} {number}"


def _show_candidate(spec: ModelSpec, asked: Asked) -> str:
    most = worst_case_tokens(spec, asked)
    cost = cost_micros(Usage(most - spec.answer_tokens, spec.answer_tokens), spec)
    return f"{spec.name:20} {spec.tier:5} {most:8} tokens  ${cost / MICROS:.6f}"


def _show_others(asked: Asked, route: Route, models: Iterable[ModelSpec]) -> Iterator[str]:
    for spec in models:
        if spec in route.candidates:
            continue
        why = "not preferred, and no fallback of the model chosen"
        if asked.plan not in spec.plans:
            why = f"not in the plan {asked.plan}"
        elif spec.is_local and not route.primary.is_local:
            why = "local: it answers where no hosted model can"
        yield f"  {spec.name:20} {why}"
