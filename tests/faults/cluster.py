"""The deployment that rounds run against: two processes of each role, proxies in between."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.provider_process import ScriptedProvider
from tests.faults.plan import WEBS, WORKERS
from tests.faults.proxy import Proxy
from tests.processes import ROOT
from tests.production import Production, hosted_model

# Short, so that what waits for one of them takes a second or two.
LEASE_S = 2
TOKEN_TIMEOUT_S = 2
RETENTION_S = 4
PATIENCE = {
    "GENERATION_LEASE_S": str(LEASE_S),
    "FIRST_TOKEN_TIMEOUT_S": "4",
    "TOKEN_TIMEOUT_S": str(TOKEN_TIMEOUT_S),
    "EVENT_LOG_RETENTION_S": str(RETENTION_S),
    "DRAIN_GRACE_S": "1",
}
CONCURRENCY = 200
LINE_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class Account:
    user: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Inspector:
    """The driver's side of `tests.faults.inspector`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def start(cls, environment: Mapping[str, str]) -> Inspector:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.inspector",
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
        )
        return cls(process)

    async def call(self, call: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            line = json.dumps({"call": call, **arguments}) + "\n"
            self._process.stdin.write(line.encode())
            await self._process.stdin.drain()
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the inspector ended")
        return json.loads(answer)["result"]

    async def make_people(self, name: str, count: int) -> list[Account]:
        people = await self.call("make_people", name=name, count=count)
        return [Account(**person) for person in people]

    async def aclose(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Links:
    """A proxy on every way there is between two processes."""

    def __init__(self, production: Production, provider_port: int) -> None:
        self.readers = [Proxy(web.port) for web in production.webs]
        self.web_valkey = Proxy(production.valkey.port)
        self.web_postgres = Proxy(production.postgres.port)
        self.worker_valkey = Proxy(production.valkey.port)
        self.worker_postgres = Proxy(production.postgres.port)
        self.provider = Proxy(provider_port)
        for web in production.webs:
            web.environment |= {
                "DATABASE_URL": production.postgres.url_at(self.web_postgres.port),
                "REDIS_URL": production.valkey.url_at(self.web_valkey.port),
            }
        for worker in production.workers:
            provider_url = f"http://127.0.0.1:{self.provider.port}"
            worker.environment |= {
                "DATABASE_URL": production.postgres.url_at(self.worker_postgres.port),
                "REDIS_URL": production.valkey.url_at(self.worker_valkey.port),
                "LOCAL_MODEL_URL": provider_url,
                "ANTHROPIC_BASE_URL": provider_url,
            }

    @property
    def all(self) -> list[Proxy]:
        stores = [self.web_valkey, self.web_postgres, self.worker_valkey, self.worker_postgres]
        return [*self.readers, *stores, self.provider]


@dataclass(slots=True)
class Cluster:
    production: Production
    provider: ScriptedProvider
    links: Links
    inspector: Inspector

    @property
    def urls(self) -> list[str]:
        """Where people reach the web processes."""
        return [f"http://127.0.0.1:{proxy.port}" for proxy in self.links.readers]


@asynccontextmanager
async def running_cluster(
    environment: Mapping[str, str] | None = None,
    *,
    webs: int = WEBS,
    workers: int = WORKERS,
) -> AsyncIterator[Cluster]:
    """Yield a cluster that serves; its processes write to files in a folder that goes with it."""
    async with AsyncExitStack() as stack:
        # Kept where somebody wants to read the logs of a run.
        kept = os.environ.get("FAULTS_FOLDER")
        folder = kept or stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-faults-"))
        provider = stack.enter_context(ScriptedProvider())
        production = Production(
            Path(folder),
            provider.url,
            webs=webs,
            workers=workers,
            concurrency=CONCURRENCY,
            environment={**PATIENCE, **hosted_model(provider.url), **(environment or {})},
        )
        stack.callback(production.stop)
        links = Links(production, int(provider.url.rpartition(":")[2]))
        await asyncio.to_thread(production.start_stores)
        for proxy in links.all:
            await proxy.start()
            stack.push_async_callback(proxy.aclose)
        inspector = await Inspector.start(production.environment)
        stack.push_async_callback(inspector.aclose)
        await asyncio.to_thread(production.start_servers)
        yield Cluster(production, provider, links, inspector)
