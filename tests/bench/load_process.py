"""The parent's side of the load clients: starts them, begins the load, gathers their answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic

from tests.bench.load_client import Answer, Job, Outcome
from tests.bench.verdicts import Verdict
from tests.processes import ROOT

# So many streams cost their client a fraction of a core.
STREAMS_PER_CLIENT = 250
# Until all clients have heard when to begin.
LEAD_S = 0.3


class ClientFailed(Exception):
    """A load client ended before it had answers."""


class LoadClient:
    def __init__(self, job: Job) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load_client"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell(json.dumps(asdict(job)))

    def wait_until_ready(self) -> None:
        self._hear()

    def begin(self, at: float) -> None:
        self._tell(str(at))

    def outcome(self) -> Outcome:
        found = json.loads(self._hear())
        answers = [
            Answer(**{**answer, "verdict": Verdict(answer["verdict"])})
            for answer in found["answers"]
        ]
        return Outcome(answers, found["cpu_s"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ClientFailed
        return line


def share_out(job: Job, *, per_client: int = STREAMS_PER_CLIENT) -> list[Job]:
    """Return the jobs of as few processes as can carry it, each with streams from all along."""
    clients = -(-len(job.tokens) // per_client)
    return [
        Job(
            **{
                **asdict(job),
                "tokens": job.tokens[number::clients],
                "starts_s": job.starts_s[number::clients],
            }
        )
        for number in range(clients)
    ]


@contextmanager
def ready_clients(job: Job) -> Iterator[Sequence[LoadClient]]:
    """Yield the clients of a load with all their doors open."""
    clients: list[LoadClient] = []
    try:
        for part in share_out(job):
            clients.append(LoadClient(part))
        for client in clients:
            client.wait_until_ready()
        yield clients
    finally:
        for client in clients:
            client.close()


def run_load(clients: Sequence[LoadClient]) -> Outcome:
    begin_at = monotonic() + LEAD_S
    for client in clients:
        client.begin(begin_at)
    outcomes = [client.outcome() for client in clients]
    answers = [answer for outcome in outcomes for answer in outcome.answers]
    return Outcome(answers, sum(outcome.cpu_s for outcome in outcomes))
