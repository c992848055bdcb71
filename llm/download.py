"""One large file over HTTP (or from a `file:` address), resumed where it was interrupted."""

from __future__ import annotations

import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Never

from tqdm import tqdm

BLOCK_BYTES = 256 * 1024
SOCKET_TIMEOUT_S = 30.0
# Attempts in a row that brought nothing; a connection that keeps breaking but moves on is fine.
FRUITLESS_ATTEMPTS = 3
PAUSE_S = 1.0

# pip's own variable first, then those that curl, requests and OpenSSL listen to.
CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class DownloadFailed(Exception):
    """The file could not be downloaded; the message is one clause."""


def download(url: str, part: Path, *, expected_bytes: int, pause_s: float = PAUSE_S) -> None:
    """Complete `part` to `expected_bytes`, keeping what it has. Raises DownloadFailed."""
    opener = _build_opener()
    fruitless = 0
    with tqdm(total=expected_bytes, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        while (have := _size(part)) < expected_bytes:
            try:
                _fetch_rest(opener, url, part, bar)
                problem = "the connection closed early"
            except (OSError, http.client.HTTPException) as exc:
                problem = _explain(exc)
            if _size(part) > have:
                fruitless = 0
                continue
            fruitless += 1
            if fruitless == FRUITLESS_ATTEMPTS:
                raise DownloadFailed(problem)
            time.sleep(pause_s)


def _fetch_rest(
    opener: urllib.request.OpenerDirector, url: str, part: Path, bar: tqdm[Never]
) -> None:
    """Append what is missing, or begin anew when the server does not resume."""
    have = _size(part)
    request = urllib.request.Request(url)  # noqa: S310 - pip resolved it; file: is meant to work
    # Identity: a compressed transfer could not be resumed by byte offset.
    request.add_header("Accept-Encoding", "identity")
    if have and request.type != "file":
        request.add_header("Range", f"bytes={have}-")
    with opener.open(request, timeout=SOCKET_TIMEOUT_S) as response:
        resumes = response.status == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {have}-"
        )
        with part.open("ab" if resumes else "wb") as file:
            bar.n = file.tell()
            while block := response.read1(BLOCK_BYTES):
                file.write(block)
                bar.update(len(block))


def _build_opener() -> urllib.request.OpenerDirector:
    """Open addresses with the proxies and authorities that pip would use."""
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=_tls_context())
    ]
    if proxy := os.environ.get("PIP_PROXY"):
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def _tls_context() -> ssl.SSLContext:
    for variable in CA_VARIABLES:
        if location := os.environ.get(variable):
            if Path(location).is_dir():
                return ssl.create_default_context(capath=location)
            return ssl.create_default_context(cafile=location)
    return ssl.create_default_context()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _explain(exc: Exception) -> str:
    if isinstance(exc, urllib.error.HTTPError):
        exc.close()
        return f"the server answered {exc.code}"
    if isinstance(exc, urllib.error.URLError):
        return str(exc.reason)
    return str(exc) or type(exc).__name__
