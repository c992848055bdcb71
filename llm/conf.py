"""The process-wide registry, built from Django settings; the only Django in this package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from django.conf import settings

from chatbot import env
from chatbot.core.redis import blocking_redis
from chatbot.core.stores import REDIS
from llm.admission.load import LoadReader
from llm.admission.memory import MemorySlots
from llm.admission.redis import RedisSlots
from llm.admission.slots import Slots
from llm.breaker import BreakerGate
from llm.breaker_redis import RedisBreakers
from llm.catalog import Catalog
from llm.catalog_file import load_catalog
from llm.engine import Means
from llm.overrides import Override
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from llm.registry import LocalEndpoint, Registry, StaticEndpoint
from llm.tokens import Scale

# A worker that looks for work, or a person who sends, waits for it; then it is done without.
SLOTS_PATIENCE_S = 0.5
# The SDKs refuse an empty key; a server without keys takes any.
NO_KEY = "none"

_supervised: LocalEndpoint | None = None
_overrides: Mapping[str, Override] = {}
_scales: Mapping[str, Scale] = {}


def set_local_endpoint(endpoint: LocalEndpoint | None) -> None:
    """Serve local models from here, for instance a `LocalServer` that this process runs."""
    global _supervised
    _supervised = endpoint
    get_registry.cache_clear()


def set_overrides(overrides: Mapping[str, Override]) -> None:
    """Let operators' changes hold in this process from now on, in place of those before."""
    global _overrides
    _overrides = overrides
    get_registry().override(overrides)


def set_scales(scales: Mapping[str, Scale]) -> None:
    """Let these scales hold in this process from now on, by family, in place of those before."""
    global _scales
    _scales = scales
    get_registry().calibrate(scales)


@cache
def get_registry() -> Registry:
    """Return the registry that all answers of this process come from."""
    catalog = read_catalog()
    breakers = BreakerGate(RedisBreakers() if settings.REDIS_URL else None)
    registry = Registry(
        catalog,
        hosted=_find_hosted(catalog),
        local=_supervised or _external_server(),
        timeouts=Timeouts(
            first_token_s=settings.FIRST_TOKEN_TIMEOUT_S, token_s=settings.TOKEN_TIMEOUT_S
        ),
        means=Means(gate=breakers, impatience_s=settings.FALLBACK_AFTER_S),
    )
    registry.override(_overrides)
    registry.calibrate(_scales)
    return registry


async def find_failing_models() -> list[str]:
    """Return the models that are not asked at present, as their breakers are open."""
    registry = get_registry()
    gate = registry.means.gate
    return await gate.find_open(registry.models()) if isinstance(gate, BreakerGate) else []


def preview_registry(*, everything: bool = False) -> Registry:
    """Return a registry to ask about models, not to ask them.

    It also has the local models that only a serving process runs; or all that the catalogue has.
    """
    catalog = read_catalog()
    hosted = _find_hosted(catalog)
    if everything:
        hosted |= {spec.name: Endpoint(spec.base_url, NO_KEY) for spec in catalog.endpoints}
    local = StaticEndpoint("") if everything or settings.LOCAL_MODEL else _external_server()
    registry = Registry(catalog, hosted=hosted, local=local)
    registry.override(_overrides)
    registry.calibrate(_scales)
    return registry


@cache
def get_slots() -> Slots:
    """Return the keeper of all slots: Redis, or without it this process."""
    if not settings.REDIS_URL:
        return MemorySlots()
    return RedisSlots(blocking_redis(patience_s=SLOTS_PATIENCE_S), REDIS)


@cache
def get_load() -> LoadReader:
    """Return how busy the lanes are, as far as this process knows."""
    return LoadReader(get_slots())


def forget_slots() -> None:
    """Begin anew, with the settings as they are by now."""
    get_slots.cache_clear()
    get_load.cache_clear()


def read_catalog() -> Catalog:
    """Return the shipped catalogue and what MODELS_FILE adds to it. Raises CatalogError."""
    return load_catalog(*([Path(settings.MODELS_FILE)] if settings.MODELS_FILE else []))


def _find_hosted(catalog: Catalog) -> dict[str, Endpoint]:
    """Return the endpoints that have an address and, where they need one, a key."""
    found = {}
    for spec in catalog.endpoints:
        key = _setting(spec.key_setting) if spec.key_setting else NO_KEY
        url = (_setting(spec.url_setting) if spec.url_setting else "") or spec.base_url
        if key and url:
            found[spec.name] = Endpoint(url, key)
    return found


def _setting(name: str) -> str:
    """Return one of Django's settings, or of the environment what only MODELS_FILE names."""
    return str(getattr(settings, name)) if hasattr(settings, name) else env.text(name)


def _external_server() -> LocalEndpoint | None:
    if not settings.LOCAL_MODEL_URL:
        return None
    return StaticEndpoint(settings.LOCAL_MODEL_URL, settings.LOCAL_MODEL_API_KEY)
