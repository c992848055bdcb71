"""System checks for what this app is composed of."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from llm.catalog import CatalogError
from llm.conf import read_catalog


@register()
def check_catalog(**_: Any) -> list[CheckMessage]:
    """Return an error for each fault of the catalogue, so that no command starts with one."""
    try:
        read_catalog()
    except CatalogError as exc:
        return [Error(f"Models: {fault}", id="conversations.E001") for fault in exc.faults]
    return []
