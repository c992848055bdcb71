"""One device of a person's: the API and the WebSocket of one web process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx2
from websockets.sync.client import ClientConnection, connect

from tests.production import Web


class Device:
    """Requests and frames to one web process, in one person's name."""

    def __init__(self, web: Web, token: str) -> None:
        self._web = web
        self._headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx2.Client(
            base_url=f"{web.url}/api/v1", headers=self._headers, timeout=30, trust_env=False
        )

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.http.close()

    def new_conversation(self) -> str:
        response = self.http.post("/conversations", json={})
        assert response.status_code == 201, response.text
        return str(response.json()["conversationId"])

    def send(self, conversation: str, *, key: str | None = None) -> httpx2.Response:
        headers = {"Accept": "application/json", "Idempotency-Key": key or str(uuid4())}
        path = f"/conversations/{conversation}/messages"
        return self.http.post(path, json={"content": "Hi"}, headers=headers)

    def change(self, conversation: str) -> None:
        """Change something that other devices are told of."""
        response = self.http.patch(f"/conversations/{conversation}", json={"title": str(uuid4())})
        assert response.status_code == 200, response.text

    def remaining(self) -> int:
        response = self.http.get("/me")
        assert response.status_code == 200, response.text
        return int(response.json()["rateLimitRemaining"])

    @contextmanager
    def socket(self) -> Iterator[Socket]:
        url = f"{self._web.url}/ws/chat/".replace("http", "ws", 1)
        with connect(url, additional_headers=self._headers, proxy=None) as connection:
            yield Socket(connection)


class Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, **frame: Any) -> None:
        self.connection.send(json.dumps(frame))

    def receive(self, kind: str, *, within_s: float = 10) -> dict[str, Any]:
        """Return the next frame of a type. Raises TimeoutError when none comes."""
        deadline = time.monotonic() + within_s
        while True:
            text = self.connection.recv(timeout=max(0.0, deadline - time.monotonic()))
            frame: dict[str, Any] = json.loads(text)
            if frame["type"] == kind:
                return frame

    def hears(self, *, within_s: float) -> bool:
        try:
            self.receive("conversation.updated", within_s=within_s)
        except TimeoutError:
            return False
        return True


def eventually(claim: Any, *, within_s: float) -> None:
    """Return once a claim holds. Raises AssertionError if it never does."""
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, "It did not come true in time."
        time.sleep(0.05)


# What a busy machine may add to anything. Waits without a bound are far longer.
NOISE_S = 10.0


@contextmanager
def takes_less_than(limit_s: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit_s + NOISE_S
