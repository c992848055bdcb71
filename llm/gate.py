"""What decides which models may be asked now, and hears what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from llm.admission.slots import Quota
from llm.catalog import ModelSpec
from llm.errors import ProviderError


class Gate(Protocol):
    """Stands before every call of the engine. Each `enter` is followed by one `leave`."""

    async def arrange(self, route: Sequence[ModelSpec]) -> Sequence[ModelSpec]:
        """Return the same models, those that had better not be asked now last.

        To be asked once for each answer, by whoever has it written.
        """
        ...

    def is_failing(self, spec: ModelSpec) -> bool:
        """Say whether a model had better not be asked now, as far as is known."""
        ...

    async def enter(self, spec: ModelSpec) -> None:
        """Return when this model may be called. Raises ProviderError for another to be asked."""
        ...

    def heard(self, spec: ModelSpec) -> None:
        """Note that the call has brought its first text."""
        ...

    def told(self, spec: ModelSpec, quota: Quota) -> None:
        """Note what the provider said of its limits."""
        ...

    def leave(self, spec: ModelSpec, error: ProviderError | None, *, was_heard: bool) -> None:
        """Note that the call has ended, in which failure if it failed, and whether it had text."""
        ...

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        ...


class OpenGate:
    """Lets everybody through."""

    async def arrange(self, route: Sequence[ModelSpec]) -> Sequence[ModelSpec]:
        return route

    def is_failing(self, spec: ModelSpec) -> bool:
        return False

    async def enter(self, spec: ModelSpec) -> None:
        return

    def heard(self, spec: ModelSpec) -> None:
        return

    def told(self, spec: ModelSpec, quota: Quota) -> None:
        return

    def leave(self, spec: ModelSpec, error: ProviderError | None, *, was_heard: bool) -> None:
        return

    async def aclose(self) -> None:
        return
