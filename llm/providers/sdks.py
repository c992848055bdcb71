"""The providers' SDKs, imported where a call is made.

Importing one takes half a second of CPU or more, which no web process and no command needs to spend,
and which an event loop cannot.
"""

from __future__ import annotations

import asyncio
from importlib import import_module

from llm.catalog import Protocol

_imported: set[Protocol] = set()


async def import_sdk(protocol: Protocol) -> None:
    """Return once the SDK of this protocol, which has the same name, can be used without delay."""
    if protocol not in _imported:
        await asyncio.to_thread(import_module, protocol)
        _imported.add(protocol)
