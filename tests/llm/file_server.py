"""A package index's file host that can be told to misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileHost:
    """What is served, and how; the lists record what was asked for."""

    content: bytes
    resumes: bool = True
    status: int | None = None
    cut_after: list[int] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    gate: threading.Event | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextmanager
def serving(host: FileHost) -> Iterator[FileHost]:
    """Serve `host.content` at `host.url` for the duration of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            host.ranges.append(wanted)
            host.asked.set()
            if host.gate is not None:
                host.gate.wait(20)
            if host.status is not None:
                self.send_error(host.status)
                return
            start = 0
            if wanted and host.resumes:
                match = re.fullmatch(r"bytes=(\d+)-", wanted)
                assert match is not None
                start = int(match[1])
                self.send_response(206)
                last = len(host.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(host.content)}")
            else:
                self.send_response(200)
            body = host.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if host.cut_after:
                body = body[: host.cut_after.pop(0)]
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}/model.whl"
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
