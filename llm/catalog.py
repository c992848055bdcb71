"""The models this service knows, read once from `catalog.toml` and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

CATALOG_FILE = Path(__file__).with_name("catalog.toml")

ProviderName = Literal["anthropic", "local"]
Tier = Literal["fast", "smart"]
Thinking = Literal["disabled", "between_tools", "adaptive"]


class CatalogError(ValueError):
    """The catalogue is wrong; the message names the model and the field."""


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens."""

    input: int
    output: int
    cache_write: int
    cache_read: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: what it is called, what fits into it and what it costs.

    `answer_tokens` is the longest answer we ask for; `max_output` the longest it could give.
    Prompts of more than `long_prompt_above` tokens cost `long_price` throughout.
    A model that `continues` goes on from a last turn of its own; the others refuse such a turn.
    """

    name: str
    display_name: str
    provider: ProviderName
    model_id: str
    tier: Tier
    context_window: int
    max_output: int
    answer_tokens: int
    price: Price
    prices_read: date
    thinking: Thinking | None = None
    continues: bool = False
    long_prompt_above: int | None = None
    long_price: Price | None = None

    @property
    def is_local(self) -> bool:
        return self.provider == "local"


@dataclass(frozen=True, slots=True)
class Catalog:
    """All models in the file's order, and the names of the two defaults."""

    models: tuple[ModelSpec, ...]
    default_hosted: str
    default_local: str

    def find(self, name: str) -> ModelSpec | None:
        return next((spec for spec in self.models if spec.name == name), None)


def load_catalog(path: Path = CATALOG_FILE) -> Catalog:
    """Read and check a catalogue. Raises CatalogError."""
    try:
        return parse_catalog(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise CatalogError(f"cannot read {path}: {exc.strerror}") from exc


def parse_catalog(text: str) -> Catalog:
    """Build a catalogue from TOML. Raises CatalogError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise CatalogError(f"not valid TOML: {exc}") from exc
    catalog = Catalog(
        models=tuple(_parse_model(table) for table in document.get("model", [])),
        default_hosted=str(document.get("default_hosted", "")),
        default_local=str(document.get("default_local", "")),
    )
    names = [spec.name for spec in catalog.models]
    for name in names:
        if names.count(name) > 1:
            raise CatalogError(f"model {name!r}: appears twice")
    for role, is_local in (("default_hosted", False), ("default_local", True)):
        spec = catalog.find(getattr(catalog, role))
        if spec is None or spec.is_local != is_local:
            raise CatalogError(f"{role}: names no such model")
    return catalog


def _parse_model(table: Mapping[str, Any]) -> ModelSpec:
    name = table.get("name", "?")
    values = dict(table)
    for field in ("price", "long_price"):
        if field in values:
            values[field] = _parse_price(values[field], model=name, field=field)
    known = {field.name for field in fields(ModelSpec)}
    for field in values.keys() - known:
        raise CatalogError(f"model {name!r}: unknown field {field!r}")
    try:
        spec = ModelSpec(**values)
    except TypeError as exc:
        missing = str(exc).rpartition(":")[2].strip()
        raise CatalogError(f"model {name!r}: missing {missing}") from exc
    problem = _find_problem(spec)
    if problem is not None:
        raise CatalogError(f"model {name!r}: {problem}")
    return spec


def _parse_price(table: Any, *, model: str, field: str) -> Price:
    kinds = [kind.name for kind in fields(Price)]
    if not isinstance(table, dict) or sorted(table) != sorted(kinds):
        raise CatalogError(f"model {model!r}: {field} needs exactly {', '.join(kinds)}")
    if not all(type(value) is int and value >= 0 for value in table.values()):
        raise CatalogError(f"model {model!r}: {field} must be whole micro-dollars, not negative")
    return Price(**table)


def _find_problem(spec: ModelSpec) -> str | None:
    for field in ("name", "display_name", "model_id"):
        if not isinstance(getattr(spec, field), str) or not getattr(spec, field):
            return f"{field} must be a non-empty string"
    for field, choices in (("provider", ProviderName), ("tier", Tier), ("thinking", Thinking)):
        value = getattr(spec, field)
        if value not in get_args(choices) and not (field == "thinking" and value is None):
            return f"{field} must be one of {', '.join(get_args(choices))}"
    sizes = (spec.answer_tokens, spec.max_output, spec.context_window)
    if not all(type(size) is int and size > 0 for size in sizes):
        return "context_window, max_output and answer_tokens must be whole and positive"
    if not spec.answer_tokens <= spec.max_output < spec.context_window:
        return "needs answer_tokens <= max_output < context_window"
    if (spec.long_prompt_above is None) != (spec.long_price is None):
        return "long_prompt_above and long_price belong together"
    if type(spec.prices_read) is not date:
        return "prices_read must be a date"
    return None
