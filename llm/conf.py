"""The process-wide registry, built from Django settings; the only Django in this package."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from llm.catalog import load_catalog
from llm.providers.base import Timeouts
from llm.registry import LocalEndpoint, Registry, StaticEndpoint

_supervised: LocalEndpoint | None = None


def set_local_endpoint(endpoint: LocalEndpoint | None) -> None:
    """Serve local models from here, for instance a `LocalServer` that this process runs."""
    global _supervised
    _supervised = endpoint
    get_registry.cache_clear()


@cache
def get_registry() -> Registry:
    """Return the registry that all answers of this process come from."""
    return Registry(
        load_catalog(),
        anthropic_key=settings.ANTHROPIC_API_KEY or None,
        anthropic_base_url=settings.ANTHROPIC_BASE_URL or None,
        local=_supervised or _external_server(),
        timeouts=Timeouts(
            first_token_s=settings.FIRST_TOKEN_TIMEOUT_S, token_s=settings.TOKEN_TIMEOUT_S
        ),
    )


def _external_server() -> LocalEndpoint | None:
    if not settings.LOCAL_MODEL_URL:
        return None
    return StaticEndpoint(settings.LOCAL_MODEL_URL, settings.LOCAL_MODEL_API_KEY)
