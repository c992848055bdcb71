"""The scripted provider as a context manager, for tests and benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STOP_TIMEOUT_S = 5.0

# Straight to the loopback: a proxy from the environment has no business here.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ScriptedProvider:
    """A running scripted provider; see `tests.fakes.scripted_provider` for its scripts."""

    url: str

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> ScriptedProvider:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.scripted_provider", *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["url"]
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def script(self, *queue: dict[str, Any], **default: Any) -> None:
        """Queue scripts for the next requests, and set the one for all others if given."""
        orders: dict[str, Any] = {"queue": list(queue)}
        if default:
            orders["default"] = default
        self._call("/control", orders)

    def script_tags(self, scripts: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Set the scripts of requests with a tag, in place of those set before."""
        self._call("/control", {"tagged": scripts})

    def limit(self, at_once: int | None, *, retry_after: str | None = None) -> None:
        """Refuse, with 429, what comes while so many are served; None takes everything."""
        capacity = at_once and {"at_once": at_once, "retry_after": retry_after}
        self._call("/control", {"capacity": capacity})

    def release(self) -> None:
        """Let the requests that are held go on."""
        self._call("/release", {})

    def wait_until_closed(self) -> None:
        """Return once a client has closed a stream early; raises after ten seconds."""
        self._call("/closed")

    def reset(self) -> None:
        """Forget all requests and scripts."""
        self._call("/reset", {})

    def requests(self) -> list[dict[str, Any]]:
        """Return every request so far: its body, what was sent, and how it ended."""
        requests: list[dict[str, Any]] = self._call("/requests")["requests"]
        return requests

    def tags(self) -> dict[str, int]:
        """Return how many requests there were with each tag."""
        tags: dict[str, int] = self._call("/tags")
        return tags

    def struck(self) -> dict[str, int]:
        """Return how often each fault of a script befell a request that got that far."""
        struck: dict[str, int] = self._call("/struck")
        return struck

    def totals(self) -> dict[str, int]:
        """Return the meter: requests, tokens billed, open streams, peak, refusals."""
        totals: dict[str, int] = self._call("/totals")
        return totals

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own child
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with _opener.open(request, timeout=10) as response:
            return json.load(response)
