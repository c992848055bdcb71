"""Request bodies at the socket of a running server: bounded, and never on disk."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live import ServeProcess, client_for

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


def test_a_body_beyond_the_bound_is_a_413(live: ServeProcess) -> None:
    with client_for(live, "bulky@example.org") as client:
        response = client.post("/conversations", content=b"x" * 600_000)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"
        chunked = client.post("/conversations", content=iter([b"x" * 100_000] * 8))
        assert chunked.status_code == 413
        assert client.get("/me").status_code == 200


def post_raw(server: ServeProcess, header: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Send a request that may be half of one; return the answer's head and body."""
    head = b"POST /api/v1/conversations HTTP/1.1\r\nHost: 127.0.0.1\r\n" + header + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    answer_head, _, answer_body = answer.partition(b"\r\n\r\n")
    return answer_head, answer_body


def unnamed_files(server: ServeProcess) -> list[str]:
    """Return the open files without a name: what `tempfile.TemporaryFile` makes."""
    assert server.process is not None
    targets = []
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(str(link.readlink()))
    return [target for target in targets if target.endswith("(deleted)")]


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"Content-Length: 300000000", b""),
        (b"Content-Length: 300000000", b"SECRET " * 150_000),
        (b"Content-Length: 300000000\r\nExpect: 100-continue", b""),
        (b"Transfer-Encoding: chunked", b"11E1A300\r\n" + b"SECRET " * 150_000),
        (b"Transfer-Encoding: chunked", b"493E0\r\n%s\r\n" % (b"x" * 300_000) * 2 + b"0\r\n\r\n"),
    ],
    ids=["announced", "half sent", "asking first", "chunked half sent", "chunked"],
)
def test_a_body_too_long_is_refused_before_it_is_there(
    live: ServeProcess, header: bytes, body: bytes
) -> None:
    head, answer = post_raw(live, header, body)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head.lower()
    assert json.loads(answer)["error"]["code"] == "too_large"
    assert unnamed_files(live) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("header", [b"Content-Length: 200000", b"Transfer-Encoding: chunked"])
def test_a_body_on_its_way_is_kept_in_memory(live: ServeProcess, header: bytes) -> None:
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as connection:
        head = b"POST /api/v1/conversations HTTP/1.1\r\nHost: 127.0.0.1\r\n" + header
        connection.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        # The server says so once it has made the place that the body goes to.
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        assert unnamed_files(live) == []


def test_a_form_that_cannot_be_read_is_refused_in_the_words_of_the_api(live: ServeProcess) -> None:
    with client_for(live, "formal@example.org") as client:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        response = client.post("/conversations", content=b"no part", headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"


def test_the_answer_to_a_head_has_no_body_however_long_it_would_be(live: ServeProcess) -> None:
    asked = b"%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: %s\r\n\r\n"
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as connection:
        connection.sendall(asked % (b"HEAD /api/v1/openapi.json", b"keep-alive"))
        connection.sendall(asked % (b"GET /healthz", b"close"))
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, rest = answers.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert rest.endswith(b'{"status": "ok"}')
