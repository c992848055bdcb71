"""Reads catalogues from TOML and finds every fault in them at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

from llm.catalog import (
    AUTO,
    FREE,
    LANE_LIMITS,
    LOCAL,
    LONGEST_ENDPOINT_NAME,
    MODEL_NAME,
    PLANS,
    Catalog,
    CatalogError,
    Continuation,
    EndpointSpec,
    LimitField,
    LimitsPer,
    ModelSpec,
    Price,
    Protocol,
    Thinking,
    Tier,
)
from llm.tokens import HIGHEST_SCALE, LOWEST_SCALE, Scale

CATALOG_FILE = Path(__file__).with_name("catalog.toml")

Spec = TypeVar("Spec", ModelSpec, EndpointSpec)


def load_catalog(*paths: Path) -> Catalog:
    """Read and check the shipped catalogue, and what further files add. Raises CatalogError."""
    texts = []
    for path in (CATALOG_FILE, *paths):
        try:
            texts.append(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
            raise CatalogError(f"cannot read {path}: {reason}") from exc
    return parse_catalog(*texts)


def parse_catalog(*texts: str) -> Catalog:
    """Build one catalogue from TOML; a later text's defaults win.

    Raises CatalogError, with a line for each fault.
    """
    documents = []
    for text in texts:
        try:
            documents.append(tomllib.loads(text))
        except tomllib.TOMLDecodeError as exc:
            raise CatalogError(f"not valid TOML: {exc}") from exc
    faults: list[str] = []
    servers = [
        _read_endpoint(table, faults)
        for document in documents
        for table in _find_tables(document, "endpoint", faults)
    ]
    models = [
        _read_model(table, faults)
        for document in documents
        for table in _find_tables(document, "model", faults)
    ]
    defaults = {
        key: str(document[key])
        for document in documents
        for key in ("default_hosted", "default_local", "default_fast")
        if key in document
    }
    catalog = Catalog(
        models=tuple(spec for spec in models if spec is not None),
        endpoints=tuple(server for server in servers if server is not None),
        default_hosted=defaults.get("default_hosted", ""),
        default_local=defaults.get("default_local", ""),
        default_fast=defaults.get("default_fast", ""),
    )
    # What a missing model breaks elsewhere is no fault of its own.
    faults = faults or list(_find_loose_ends(catalog))
    if faults:
        raise CatalogError("\n".join(faults))
    return catalog


def _find_tables(
    document: Mapping[str, Any], kind: str, faults: list[str]
) -> Sequence[Mapping[str, Any]]:
    found = document.get(kind, [])
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    faults.append(f"{kind}: each one begins with [[{kind}]]")
    return []


def _find_loose_ends(catalog: Catalog) -> Iterable[str]:
    names = [spec.name for spec in catalog.models]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"model {name!r}: appears twice"
    servers = [endpoint.name for endpoint in catalog.endpoints]
    for name in sorted({name for name in servers if servers.count(name) > 1}):
        yield f"endpoint {name!r}: appears twice"
    for spec in catalog.models:
        if spec.provider not in (LOCAL, *servers):
            yield f"model {spec.name!r}: provider must be one of {', '.join((LOCAL, *servers))}"
        for other in spec.fallbacks:
            if other not in names or other == spec.name:
                yield f"model {spec.name!r}: fallback {other!r} is no other model"
    for role, is_local in (("default_hosted", False), ("default_local", True)):
        default = catalog.find(getattr(catalog, role))
        if default is None or default.is_local != is_local:
            yield f"{role}: names no such model"
    fast = catalog.find(catalog.default_fast)
    if catalog.default_fast and (fast is None or fast.tier != "fast"):
        yield "default_fast: names no fast model"


def _read_endpoint(table: Mapping[str, Any], faults: list[str]) -> EndpointSpec | None:
    who = f"endpoint {table.get('name', '?')!r}"
    spec = _build(EndpointSpec, table, who, faults)
    if spec is not None and (problem := _find_endpoint_problem(spec)) is not None:
        faults.append(f"{who}: {problem}")
    return spec


def _read_model(table: Mapping[str, Any], faults: list[str]) -> ModelSpec | None:
    who = f"model {table.get('name', '?')!r}"
    values = dict(table)
    if (problem := _read_tables(values)) is not None:
        faults.append(f"{who}: {problem}")
        return None
    if "price" not in values:
        # A price that nobody knows must not be taken for none.
        if values.get("free") is not True:
            faults.append(f"{who}: has no price; give one, or say free = true")
            return None
        values["price"] = FREE
    for field in ("fallbacks", "plans"):
        names = values.get(field, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            faults.append(f"{who}: {field} must be a list of names")
            return None
        if field in values:
            values[field] = tuple(names)
    spec = _build(ModelSpec, values, who, faults)
    if spec is not None and (problem := _find_problem(spec)) is not None:
        faults.append(f"{who}: {problem}")
    return spec


def _read_tables(values: dict[str, Any]) -> str | None:
    """Put values in the place of a model's tables; return what is wrong with one."""
    for field in ("price", "long_price"):
        if field in values:
            problem = _find_price_problem(values[field], field)
            if problem is not None:
                return problem
            values[field] = Price(**values[field])
    if "token_scale" in values:
        problem = _find_scale_problem(values["token_scale"])
        if problem is not None:
            return problem
        values["token_scale"] = Scale(**values["token_scale"])
    return None


def _build(kind: type[Spec], values: Mapping[str, Any], who: str, faults: list[str]) -> Spec | None:
    known = fields(kind)
    unknown = sorted(values.keys() - {field.name for field in known})
    missing = [
        field.name for field in known if field.default is MISSING and field.name not in values
    ]
    faults += [f"{who}: unknown field {name!r}" for name in unknown]
    faults += [f"{who}: missing {name!r}" for name in missing]
    return None if unknown or missing else kind(**values)


def _find_price_problem(table: Any, field: str) -> str | None:
    kinds = [kind.name for kind in fields(Price)]
    if not isinstance(table, dict) or sorted(table) != sorted(kinds):
        return f"{field} needs exactly {', '.join(kinds)}"
    if not all(type(value) is int and value >= 0 for value in table.values()):
        return f"{field} must be whole micro-dollars, not negative"
    return None


def _find_scale_problem(table: Any) -> str | None:
    if not isinstance(table, dict) or sorted(table) != ["plain", "wide"]:
        return "token_scale needs exactly plain, wide"
    if not all(
        type(value) in (int, float) and LOWEST_SCALE <= value <= HIGHEST_SCALE
        for value in table.values()
    ):
        return f"token_scale must be numbers from {LOWEST_SCALE} to {HIGHEST_SCALE}"
    return None


def _find_endpoint_problem(spec: EndpointSpec) -> str | None:
    texts = (spec.name, spec.base_url, spec.key_setting, spec.url_setting)
    if not all(isinstance(text, str) for text in texts) or spec.name in ("", LOCAL):
        return f"needs a name that is not {LOCAL!r}, and texts for address and settings"
    if len(spec.name) > LONGEST_ENDPOINT_NAME:
        return f"name may have {LONGEST_ENDPOINT_NAME} characters"
    if not spec.base_url and not spec.url_setting:
        return "needs base_url or url_setting"
    if spec.base_url and not spec.base_url.startswith(("http://", "https://")):
        return "base_url must begin with http:// or https://"
    choices = {"protocol": Protocol, "limit_field": LimitField, "limits_per": LimitsPer}
    return _find_choice_problem(spec, **choices) or _find_limit_problem(spec)


def _find_limit_problem(spec: ModelSpec | EndpointSpec) -> str | None:
    for field in LANE_LIMITS:
        limit = getattr(spec, field)
        if limit is not None and not (type(limit) is int and limit > 0):
            return f"{field} must be whole and positive"
    return None


def _find_choice_problem(spec: ModelSpec | EndpointSpec, **choices: Any) -> str | None:
    for field, kind in choices.items():
        if getattr(spec, field) not in get_args(kind):
            return f"{field} must be one of {', '.join(get_args(kind))}"
    return None


def _find_problem(spec: ModelSpec) -> str | None:
    for field in ("name", "display_name", "model_id", "provider", "tokenizer"):
        text = getattr(spec, field)
        if not isinstance(text, str) or not (text or field == "tokenizer"):
            return f"{field} must be a non-empty string"
    if re.fullmatch(MODEL_NAME, spec.name) is None or spec.name == AUTO:
        return f"name takes 64 letters, digits, '.', '_' and '-', and is not {AUTO!r}"
    for field in ("free", "caches_prompts", "takes_notes"):
        if type(getattr(spec, field)) is not bool:
            return f"{field} must be true or false"
    if not spec.plans or not set(spec.plans) <= set(PLANS):
        return f"plans must name some of {', '.join(PLANS)}"
    problem = _find_choice_problem(spec, tier=Tier, continuation=Continuation)
    if problem is None and spec.thinking is not None:
        problem = _find_choice_problem(spec, thinking=Thinking)
    problem = problem or _find_size_problem(spec) or _find_limit_problem(spec)
    return problem or _find_money_problem(spec)


def _find_size_problem(spec: ModelSpec) -> str | None:
    sizes = (spec.answer_tokens, spec.max_output, spec.context_window)
    if not all(type(size) is int and size > 0 for size in sizes):
        return "context_window, max_output and answer_tokens must be whole and positive"
    if not spec.answer_tokens <= spec.max_output < spec.context_window:
        return "needs answer_tokens <= max_output < context_window"
    if type(spec.min_cacheable_tokens) is not int or spec.min_cacheable_tokens < 0:
        return "min_cacheable_tokens must be whole, not negative"
    return None


def _find_money_problem(spec: ModelSpec) -> str | None:
    if (spec.long_prompt_above is None) != (spec.long_price is None):
        return "long_prompt_above and long_price belong together"
    if spec.free != (spec.price == FREE):
        return "costs nothing exactly when it says free = true"
    if not spec.free and type(spec.prices_read) is not date:
        return "prices_read must be a date"
    return None
