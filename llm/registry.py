"""Which models this installation can use, and the clients that reach them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chatbot.core.tasks import spawn
from llm.admission.lanes import lane_of
from llm.admission.slots import Lane
from llm.calibration import calibrate
from llm.catalog import AUTO, LOCAL, Catalog, ModelSpec, Protocol as WireProtocol
from llm.engine import Means
from llm.errors import ModelSwitchedOff, ProviderUnavailable, UnknownModel
from llm.local_model import ModelUnavailable
from llm.overrides import Override, override_catalog
from llm.pricing import has_price
from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Provider, Timeouts
from llm.providers.connections import Endpoint
from llm.providers.local import LocalProvider
from llm.providers.openai import OpenAiProvider
from llm.providers.sdks import import_sdk
from llm.routing import prefer
from llm.tokens import Scale

# A local model that died is back in a second or two, on a busy machine in ten.
RESTART_PATIENCE_S = 20.0


class LocalEndpoint(Protocol):
    """A server of local models; its address is empty while it has none."""

    @property
    def base_url(self) -> str: ...
    @property
    def api_key(self) -> str: ...
    @property
    def is_ready(self) -> bool:
        """Whether the server answers now, as far as is known."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once it answers. Raises ModelUnavailable when it does not in time."""


@dataclass(frozen=True, slots=True)
class StaticEndpoint:
    """A local model's server that somebody else runs."""

    base_url: str
    api_key: str = field(default="", repr=False)

    @property
    def is_ready(self) -> bool:
        # Nobody here watches it: a question that fails finds out.
        return True

    async def wait_ready(self, timeout_s: float) -> None:
        return


@dataclass(frozen=True, slots=True)
class _Client:
    endpoint: Endpoint
    provider: Provider
    loop: asyncio.AbstractEventLoop


class Registry:
    """The catalogue as far as it is available, with one shared client per endpoint and loop.

    `hosted` holds, by name, the catalogue's endpoints that can be reached from here.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        hosted: Mapping[str, Endpoint],
        local: LocalEndpoint | None,
        timeouts: Timeouts | None = None,
        means: Means | None = None,
    ) -> None:
        # What all answers of this process share.
        self.means = means or Means()
        self._shipped = catalog
        self._overrides: Mapping[str, Override] = {}
        self._scales: Mapping[str, Scale] = {}
        self._catalog = catalog
        self._off: frozenset[str] = frozenset()
        self._hosted = hosted
        self._local = local
        self._timeouts = timeouts or Timeouts()
        self._clients: dict[tuple[str, asyncio.AbstractEventLoop], _Client] = {}

    def override(self, overrides: Mapping[str, Override]) -> None:
        """Take over what operators changed, in place of what they changed before.

        An answer that is being written is not touched. Names the catalogue lacks do nothing.
        """
        self._overrides = overrides
        self._rebuild()
        self._off = frozenset(name for name, change in overrides.items() if change.is_off)

    def calibrate(self, scales: Mapping[str, Scale]) -> None:
        """Take over how finely models split text, by family, in place of what was known before."""
        self._scales = scales
        self._rebuild()

    def _rebuild(self) -> None:
        self._catalog = calibrate(override_catalog(self._shipped, self._overrides), self._scales)

    def models(self) -> tuple[ModelSpec, ...]:
        """Return the models that can be chosen here, in the catalogue's order."""
        return tuple(spec for spec in self._catalog.models if self._is_available(spec))

    def preferred_models(self) -> list[ModelSpec]:
        """Return the same models, those first that `auto` prefers within a tier."""
        return prefer(self.models(), self._catalog)

    @property
    def is_ready(self) -> bool:
        """Whether a model answers now: a hosted one with a key, or a local one that runs."""
        local_is_ready = self._local is not None and self._local.is_ready
        return any(local_is_ready or not spec.is_local for spec in self.models())

    @property
    def default(self) -> ModelSpec:
        """What answers where nothing is asked yet: a hosted model if there is a key.

        Raises UnknownModel if there is no model.
        """
        for spec in self.preferred_models():
            return spec
        raise UnknownModel

    def resolve(self, name: str) -> ModelSpec:
        """Return the model of that name, or the default for `auto`.

        Raises UnknownModel, or ModelSwitchedOff where it would be there.
        """
        if name == AUTO:
            return self.default
        spec = self._catalog.find(name)
        if spec is None or not self._is_reachable(spec):
            raise UnknownModel
        if spec.name in self._off:
            raise ModelSwitchedOff
        return spec

    def find_known(self, name: str) -> ModelSpec | None:
        """Return the model of that name, whether it is available or not."""
        return self._catalog.find(name)

    def lanes(self, name: str) -> tuple[Lane, ...]:
        """Return a model's lane, then those of the models that may stand in for it here.

        None for a model that is not available.
        """
        return self._lanes_of(self._find_able(name))

    def lanes_to_ask(self, name: str) -> tuple[Lane, ...]:
        """Return the same without those of models that fail at present, if any others are left."""
        able = self._find_able(name)
        return self._lanes_of([one for one in able if not self.means.gate.is_failing(one)] or able)

    def _find_able(self, name: str) -> list[ModelSpec]:
        spec = self._catalog.find(name)
        if spec is None or not self._is_available(spec):
            return []
        others = (self._catalog.find(other) for other in spec.fallbacks)
        able = [
            other
            for other in others
            if other is not None
            and self._is_available(other)
            and set(spec.plans) <= set(other.plans)
        ]
        return [spec, *able]

    def _lanes_of(self, models: Iterable[ModelSpec]) -> tuple[Lane, ...]:
        return tuple({lane.name: lane for lane in map(self.lane, models)}.values())

    def lane(self, spec: ModelSpec) -> Lane:
        """Return the lane of calls to this model."""
        return lane_of(spec, self._catalog.find_endpoint(spec.provider))

    async def open_provider(self, spec: ModelSpec) -> Provider:
        """Return the running loop's client for this model; do not keep it between answers.

        A local server that is being restarted is waited for. Raises UnknownModel, or
        ProviderUnavailable when it does not come back in time.
        """
        if spec.is_local and self._local is not None:
            try:
                await self._local.wait_ready(RESTART_PATIENCE_S)
            except ModelUnavailable as exc:
                raise ProviderUnavailable from exc
        await import_sdk(self._protocol(spec))
        return self.provider(spec)

    async def import_sdks(self) -> None:
        """Import what the first call to any model here would have to wait for."""
        for protocol in {self._protocol(spec) for spec in self.models()}:
            await import_sdk(protocol)

    def provider(self, spec: ModelSpec) -> Provider:
        """Return what `open_provider` returns, as things stand.

        Raises UnknownModel, or ProviderUnavailable while the local server has no address.
        """
        endpoint = self._endpoint(spec)
        loop = asyncio.get_running_loop()
        key = (spec.provider, loop)
        client = self._clients.get(key)
        if client is not None and client.endpoint == endpoint:
            return client.provider
        if client is not None:
            _ = spawn(client.provider.aclose(), name="close a replaced model client")
        self._forget_dead_loops()
        provider = self._build(spec.provider, endpoint)
        self._clients[key] = _Client(endpoint, provider, loop)
        return provider

    async def aclose(self) -> None:
        """Close the clients and connections of the running loop."""
        loop = asyncio.get_running_loop()
        mine = [key for key, client in self._clients.items() if client.loop is loop]
        for key in mine:
            await self._clients.pop(key).provider.aclose()
        await self.means.gate.aclose()
        self._forget_dead_loops()

    def _is_available(self, spec: ModelSpec) -> bool:
        return spec.name not in self._off and self._is_reachable(spec)

    def _is_reachable(self, spec: ModelSpec) -> bool:
        # Wherever it came from: what a call would cost has to be known before it is made.
        if not has_price(spec):
            return False
        return self._local is not None if spec.is_local else spec.provider in self._hosted

    def _protocol(self, spec: ModelSpec) -> WireProtocol:
        server = self._catalog.find_endpoint(spec.provider)
        return server.protocol if server is not None else "anthropic"

    def _endpoint(self, spec: ModelSpec) -> Endpoint:
        if spec.is_local and self._local is not None:
            if not self._local.base_url:
                raise ProviderUnavailable
            # The SDK refuses an empty key; a server without keys takes any.
            return Endpoint(self._local.base_url, self._local.api_key or "none", is_local=True)
        if not spec.is_local and spec.provider in self._hosted:
            return self._hosted[spec.provider]
        raise UnknownModel

    def _build(self, name: str, endpoint: Endpoint) -> Provider:
        server = self._catalog.find_endpoint(name)
        if server is not None and server.protocol == "openai":
            return OpenAiProvider(endpoint, timeouts=self._timeouts, limit_field=server.limit_field)
        thinking = {
            spec.model_id: spec.thinking
            for spec in self._catalog.models
            if spec.thinking is not None and spec.provider == name
        }
        # The local server keeps what it read by itself.
        least_cached = {
            spec.model_id: spec.min_cacheable_tokens
            for spec in self._catalog.models
            if spec.caches_prompts and spec.provider == name != LOCAL
        }
        provider = AnthropicProvider(
            endpoint, timeouts=self._timeouts, thinking=thinking, least_cached=least_cached
        )
        return LocalProvider(provider) if name == LOCAL else provider

    def _forget_dead_loops(self) -> None:
        for key in [key for key, client in self._clients.items() if client.loop.is_closed()]:
            del self._clients[key]
