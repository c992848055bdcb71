"""The deployment that rounds run against: two processes of each role, proxies in between."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
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
# Ten thousand schedules write about half of it to each log, if nothing is amiss.
LOG_BYTES = 2**22


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

    def bound_logs(self, *, most: int = LOG_BYTES) -> None:
        """Empty every log that is longer, and keep what it said last in a file beside it."""
        production = self.production
        logs = [server.log for server in (*production.servers, production.valkey)]
        for log in [*logs, production.postgres.log]:
            if log.exists() and log.stat().st_size > most:
                kept = log.with_name(f"{log.name}.before")
                with log.open("rb") as source:
                    source.seek(-most, os.SEEK_END)
                    kept.write_bytes(source.read())
                # In place: whoever writes to it has it open, and appends.
                os.truncate(log, 0)

    @property
    def urls(self) -> list[str]:
        """Where people reach the web processes."""
        return [f"http://127.0.0.1:{proxy.port}" for proxy in self.links.readers]


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a new folder, in FAULTS_FOLDER and kept where that is set."""
    kept = os.environ.get("FAULTS_FOLDER")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="deployment-", dir=kept))
    else:
        with tempfile.TemporaryDirectory(prefix="parley-faults-") as folder:
            yield Path(folder)


@asynccontextmanager
async def running_cluster(
    environment: Mapping[str, str] | None = None,
    *,
    webs: int = WEBS,
    workers: int = WORKERS,
) -> AsyncIterator[Cluster]:
    """Yield a cluster that serves; its processes write to files in a folder that goes with it."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_folder())
        provider = stack.enter_context(ScriptedProvider())
        production = Production(
            folder,
            provider.url,
            webs=webs,
            workers=workers,
            concurrency=CONCURRENCY,
            environment={**PATIENCE, **hosted_model(folder, provider.url), **(environment or {})},
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
