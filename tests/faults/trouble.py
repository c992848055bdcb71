"""What goes wrong in a round, done to the cluster; everything is well again when it returns."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

from chatbot.core.tasks import spawn
from tests.faults.cluster import LEASE_S, Cluster
from tests.faults.plan import Fault
from tests.faults.proxy import Proxy
from tests.processes import Process

LATENCY_S = 0.15
# Frozen for longer than its lease, a worker comes back to find its answers taken.
STALE_S = LEASE_S + 0.5

Act = Callable[[Cluster, Fault], Coroutine[Any, Any, None]]


class Trouble:
    """Applies faults; those of the same part come one after another."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._parts: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def make(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at_s)
        part = fault.kind.partition(" ")[0]
        if part in {"web", "worker"}:
            part = f"{part}{fault.target}"
        async with self._parts[part]:
            await ACTS[fault.kind](self._cluster, fault)


async def _in_thread(act: Callable[[], object]) -> None:
    """Act in a thread. Whoever is cancelled meanwhile goes when the thread has ended, not before:
    it would start a process that nobody ends.
    """
    task = spawn(asyncio.to_thread(act), name="a fault")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _server(cluster: Cluster, fault: Fault) -> Process:
    servers = cluster.production.webs if fault.kind[:3] == "web" else cluster.production.workers
    return list[Process](servers)[fault.target % len(servers)]


async def _kill(cluster: Cluster, fault: Fault) -> None:
    server = _server(cluster, fault)
    server.kill9()
    await asyncio.sleep(fault.for_s / 2)
    await _in_thread(server.start)


async def _terminate(cluster: Cluster, fault: Fault) -> None:
    server = _server(cluster, fault)
    await _in_thread(server.terminate)
    await _in_thread(server.start)


async def _freeze(cluster: Cluster, fault: Fault) -> None:
    server = _server(cluster, fault)
    with ExitStack() as stack:
        server.pause()
        stack.callback(server.resume)
        await asyncio.sleep(STALE_S + fault.for_s / 2)


async def _flush(cluster: Cluster, fault: Fault) -> None:
    await _in_thread(cluster.production.valkey.flush)


async def _empty(cluster: Cluster, fault: Fault) -> None:
    await _in_thread(cluster.production.valkey.restart_without_data)


async def _stale(cluster: Cluster, fault: Fault) -> None:
    """Bring Valkey back as it was a while before it died."""
    await _in_thread(cluster.production.valkey.save)
    await asyncio.sleep(fault.for_s / 2)
    await _in_thread(cluster.production.valkey.restart_with_data)


async def _saved(cluster: Cluster, fault: Fault) -> None:
    await _in_thread(cluster.production.valkey.save)
    await _in_thread(cluster.production.valkey.restart_with_data)


async def _freeze_valkey(cluster: Cluster, fault: Fault) -> None:
    with ExitStack() as stack:
        cluster.production.valkey.pause()
        stack.callback(cluster.production.valkey.resume)
        await asyncio.sleep(fault.for_s)


async def _restart_postgres(cluster: Cluster, fault: Fault) -> None:
    await _in_thread(cluster.production.postgres.restart)


async def _crash_postgres(cluster: Cluster, fault: Fault) -> None:
    await _in_thread(cluster.production.postgres.kill)
    await asyncio.sleep(fault.for_s / 2)
    await _in_thread(cluster.production.postgres.start)


async def _freeze_postgres(cluster: Cluster, fault: Fault) -> None:
    with ExitStack() as stack:
        cluster.production.postgres.pause()
        stack.callback(cluster.production.postgres.resume)
        await asyncio.sleep(fault.for_s / 2)


def _cut(*links: str) -> Act:
    async def act(cluster: Cluster, fault: Fault) -> None:
        for link in links:
            find(cluster, link, fault).cut()

    return act


def _for_a_while(begin: Callable[[Proxy], None], *links: str) -> Act:
    async def act(cluster: Cluster, fault: Fault) -> None:
        proxies = [find(cluster, link, fault) for link in links]
        for proxy in proxies:
            begin(proxy)
        await asyncio.sleep(fault.for_s)
        for proxy in proxies:
            proxy.latency_s = 0.0
            proxy.open()

    return act


def find(cluster: Cluster, link: str, fault: Fault) -> Proxy:
    if link == "readers":
        return cluster.links.readers[fault.target % len(cluster.links.readers)]
    proxy = getattr(cluster.links, link)
    assert isinstance(proxy, Proxy)
    return proxy


def _slow_down(proxy: Proxy) -> None:
    proxy.latency_s = LATENCY_S


ACTS: dict[str, Act] = {
    "web kill": _kill,
    "web term": _terminate,
    "worker kill": _kill,
    "worker term": _terminate,
    "worker freeze": _freeze,
    "valkey flush": _flush,
    "valkey empty": _empty,
    "valkey stale": _stale,
    "valkey saved": _saved,
    "valkey freeze": _freeze_valkey,
    "valkey cut": _cut("web_valkey", "worker_valkey"),
    "valkey swallow workers": _for_a_while(Proxy.swallow, "worker_valkey"),
    "valkey swallow webs": _for_a_while(Proxy.swallow, "web_valkey"),
    "postgres restart": _restart_postgres,
    "postgres crash": _crash_postgres,
    "postgres freeze": _freeze_postgres,
    "postgres cut": _cut("web_postgres", "worker_postgres"),
    "postgres swallow workers": _for_a_while(Proxy.swallow, "worker_postgres"),
    "provider cut": _cut("provider"),
    "provider stall": _for_a_while(Proxy.stall, "provider"),
    "provider refuse": _for_a_while(Proxy.refuse, "provider"),
    "readers cut": _cut("readers"),
    "readers stall": _for_a_while(Proxy.stall, "readers"),
    "readers half-close": _for_a_while(Proxy.half_close, "readers"),
    "readers latency": _for_a_while(_slow_down, "readers"),
}
