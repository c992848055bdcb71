"""The providers' SDKs, imported where a call is made.

Importing one takes half a second of CPU or more, which a command that makes no call, and a web process
that asks no judge, need not spend, and which an event loop cannot.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from functools import cache
from importlib import import_module
from threading import Thread

from llm.catalog import Protocol


async def import_sdk(protocol: Protocol) -> None:
    """Return once the SDK of this protocol, which has the same name, can be used without delay."""
    importing = _importing(protocol)
    if not importing.done():
        await asyncio.wrap_future(importing)


@cache
def _importing(protocol: Protocol) -> Future[None]:
    done: Future[None] = Future()
    # Begun: who gives up waiting does not cancel it for others.
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            import_module(protocol)
        except BaseException as exc:  # noqa: BLE001 - Whoever waits is told.
            done.set_exception(exc)
        else:
            done.set_result(None)

    # A process that is told to end meanwhile does not wait for it.
    Thread(target=run, name=f"import {protocol}", daemon=True).start()
    return done
