"""What an operator changes of a model without a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from llm.catalog import LANE_LIMITS, PLANS, Catalog, ModelSpec


@dataclass(frozen=True, slots=True)
class Override:
    """A model's switch, and the limits that replace those of the catalogue; None leaves one.

    One with a limit for its lane shares no lane with others.

    Prices cannot be changed: what the ledger holds must follow from a catalogue that is kept.
    """

    is_off: bool = False
    answer_tokens: int | None = None
    plans: tuple[str, ...] | None = None
    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def find_faults(self, spec: ModelSpec) -> dict[str, str]:
        """Return what is wrong with it for this model, by field."""
        faults = {}
        if self.answer_tokens is not None and not 0 < self.answer_tokens <= spec.max_output:
            faults["answer_tokens"] = f"{spec.name} answers with 1 to {spec.max_output} tokens."
        unknown = sorted(set(self.plans or ()) - set(PLANS))
        if unknown:
            faults["plans"] = f"There is no plan {', '.join(unknown)}: {', '.join(PLANS)}."
        elif self.plans == ():
            faults["plans"] = "At least one plan has it; otherwise switch it off."
        for field in LANE_LIMITS:
            if getattr(self, field) == 0:
                faults[field] = "At least one; to ask it for nothing, switch it off."
        return faults

    def apply(self, spec: ModelSpec) -> ModelSpec:
        """Return the model with this change; one that does not fit it changes nothing."""
        if self.find_faults(spec):
            return spec
        lane_limits = {field: getattr(self, field) or getattr(spec, field) for field in LANE_LIMITS}
        return replace(
            spec,
            answer_tokens=self.answer_tokens or spec.answer_tokens,
            plans=spec.plans if self.plans is None else self.plans,
            **lane_limits,
        )


def override_catalog(catalog: Catalog, overrides: Mapping[str, Override]) -> Catalog:
    """Return the catalogue with the limits of its models changed; names it lacks do nothing."""
    if not overrides:
        return catalog
    models = (
        overrides[spec.name].apply(spec) if spec.name in overrides else spec
        for spec in catalog.models
    )
    return replace(catalog, models=tuple(models))
