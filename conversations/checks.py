"""System checks for what this app is composed of."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning as Caution, register

from llm.catalog import CatalogError
from llm.conf import preview_registry, read_catalog


@register()
def check_catalog(**_: Any) -> list[CheckMessage]:
    """Return an error for each fault of the catalogue, so that no command starts with one."""
    try:
        read_catalog()
    except CatalogError as exc:
        return [Error(f"Models: {fault}", id="conversations.E001") for fault in exc.faults]
    return []


@register()
def check_judge(**_: Any) -> list[CheckMessage]:
    """Return what keeps moderation from asking one judge: two of them, or a model that is not there."""
    if not settings.MODERATION_JUDGE_MODEL:
        return []
    found: list[CheckMessage] = []
    if settings.MODERATION_JUDGE_URL:
        both = "Set MODERATION_JUDGE_URL or MODERATION_JUDGE_MODEL, not both: one judge is asked."
        found.append(Error(both, id="conversations.E002"))
    try:
        found += _check_judge_model(settings.MODERATION_JUDGE_MODEL)
    except CatalogError:
        # The other check tells its faults.
        return found
    return found


def _check_judge_model(name: str) -> list[CheckMessage]:
    catalog = read_catalog()
    if catalog.find(name) is None:
        known = ", ".join(spec.name for spec in catalog.models)
        unknown = f"MODERATION_JUDGE_MODEL: The catalogue has no model {name}. It has: {known}."
        return [Error(unknown, id="conversations.E003")]
    if all(spec.name != name for spec in preview_registry().models()):
        silent = f"MODERATION_JUDGE_MODEL: {name} cannot be asked here, so it will say nothing."
        hint = "Set the key and the address of its endpoint."
        return [Caution(silent, hint=hint, id="conversations.W001")]
    return []
