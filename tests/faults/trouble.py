"""What goes wrong in a round, done to the cluster; everything is well again when it returns."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

import psutil

from chatbot.core.tasks import spawn
from tests.faults.cluster import LEASE_S, Cluster
from tests.faults.plan import Fault
from tests.faults.proxy import Proxy
from tests.processes import Process
from tests.stores import Postgres, Valkey

LATENCY_S = 0.15
# Frozen for longer than its lease, a worker comes back to find its answers taken.
STALE_S = LEASE_S + 0.5

T = TypeVar("T")
# Makes a fault, and says whether it met anything.
Act = Callable[[Cluster, Fault], Coroutine[Any, Any, bool]]


class Trouble:
    """Applies faults; those of the same part come one after another.

    `struck` counts those that met something: a process that lived, a connection that was there.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._parts: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.struck: Counter[str] = Counter()

    async def make(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at_s)
        part = fault.kind.partition(" ")[0]
        if part in {"web", "worker"}:
            part = f"{part}{fault.target}"
        async with self._parts[part]:
            has_struck = await ACTS[fault.kind](self._cluster, fault)
            self.struck[fault.kind] += has_struck


async def _in_thread(act: Callable[[], T]) -> T:
    """Act in a thread. Whoever is cancelled meanwhile goes when the thread has ended, not before:
    it would start a process that nobody ends.
    """
    task = spawn(asyncio.to_thread(act), name="a fault")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _server(cluster: Cluster, fault: Fault) -> Process:
    servers = cluster.production.webs if fault.kind[:3] == "web" else cluster.production.workers
    return list[Process](servers)[fault.target % len(servers)]


async def _kill(cluster: Cluster, fault: Fault) -> bool:
    server = _server(cluster, fault)
    before, was_alive = server.pid, server.is_alive
    server.kill9()
    await asyncio.sleep(fault.for_s / 2)
    await _in_thread(server.start)
    return was_alive and server.pid != before


async def _terminate(cluster: Cluster, fault: Fault) -> bool:
    server = _server(cluster, fault)
    before, was_alive = server.pid, server.is_alive
    await _in_thread(server.terminate)
    await _in_thread(server.start)
    return was_alive and server.pid != before


async def _freeze(cluster: Cluster, fault: Fault) -> bool:
    return await _pause(_server(cluster, fault), for_s=STALE_S + fault.for_s / 2)


async def _pause(server: Process | Postgres, *, for_s: float) -> bool:
    with ExitStack() as stack:
        server.pause()
        stack.callback(server.resume)
        await asyncio.sleep(for_s)
        return psutil.Process(server.pid).status() == psutil.STATUS_STOPPED


async def _flush(cluster: Cluster, fault: Fault) -> bool:
    held = await _in_thread(cluster.production.valkey.count_keys)
    await _in_thread(cluster.production.valkey.flush)
    return held > 0


async def _empty(cluster: Cluster, fault: Fault) -> bool:
    valkey = cluster.production.valkey
    held = await _in_thread(valkey.count_keys)
    return await _replace(valkey, valkey.restart_without_data) and held > 0


async def _replace(server: Valkey | Postgres, act: Callable[[], object]) -> bool:
    """Act, and say whether another process serves after it."""
    before = server.pid
    await _in_thread(act)
    return server.pid != before


async def _stale(cluster: Cluster, fault: Fault) -> bool:
    """Bring Valkey back as it was a while before it died."""
    valkey = cluster.production.valkey
    await _in_thread(valkey.save)
    await asyncio.sleep(fault.for_s / 2)
    return await _replace(valkey, valkey.restart_with_data)


async def _saved(cluster: Cluster, fault: Fault) -> bool:
    valkey = cluster.production.valkey
    await _in_thread(valkey.save)
    return await _replace(valkey, valkey.restart_with_data)


async def _freeze_valkey(cluster: Cluster, fault: Fault) -> bool:
    return await _pause(cluster.production.valkey, for_s=fault.for_s)


async def _restart_postgres(cluster: Cluster, fault: Fault) -> bool:
    postgres = cluster.production.postgres
    return await _replace(postgres, postgres.restart)


async def _crash_postgres(cluster: Cluster, fault: Fault) -> bool:
    postgres = cluster.production.postgres
    before = postgres.pid
    await _in_thread(postgres.kill)
    await asyncio.sleep(fault.for_s / 2)
    await _in_thread(postgres.start)
    return postgres.pid != before


async def _freeze_postgres(cluster: Cluster, fault: Fault) -> bool:
    return await _pause(cluster.production.postgres, for_s=fault.for_s / 2)


def _cut(*links: str) -> Act:
    async def act(cluster: Cluster, fault: Fault) -> bool:
        proxies = [find(cluster, link, fault) for link in links]
        before = [proxy.touched for proxy in proxies]
        for proxy in proxies:
            proxy.cut()
        return [proxy.touched for proxy in proxies] != before

    return act


def _for_a_while(begin: Callable[[Proxy], None], link: str) -> Act:
    async def act(cluster: Cluster, fault: Fault) -> bool:
        proxy = find(cluster, link, fault)
        before = proxy.touched
        begin(proxy)
        await asyncio.sleep(fault.for_s)
        is_struck = proxy.touched != before
        proxy.latency_s = 0.0
        proxy.open()
        return is_struck

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
