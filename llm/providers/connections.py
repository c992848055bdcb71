"""An endpoint, and the HTTP connections to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from yarl import URL

CONNECT_TIMEOUT_S = 10.0

KEEPALIVE_S = 30.0

# The addresses of a provider change rarely, and to look them up takes a thread.
DNS_TTL_S = 60


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider is and how it knows us. A local one is never reached through a proxy."""

    base_url: str
    api_key: str = field(repr=False)
    is_local: bool = False


def open_session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """Return a client with a pool of its own, without limits: admission decides what runs."""
    url = URL(endpoint.base_url)
    connector = aiohttp.TCPConnector(
        limit=0,
        # llama.cpp promises to keep a connection after a stream, then closes it: a request sent on
        # it in between fails. On the loopback a new one costs nothing.
        force_close=endpoint.is_local,
        keepalive_timeout=None if endpoint.is_local else KEEPALIVE_S,
        ssl=httpx2.create_ssl_context() if url.scheme == "https" else True,
        ttl_dns_cache=DNS_TTL_S,
    )
    return aiohttp.ClientSession(
        connector=connector,
        proxy=None if endpoint.is_local else _find_proxy(url),
        # Watching the time between texts is the reader's; pings are no sign of life.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _find_proxy(url: URL) -> str | None:
    """Return the proxy that the environment names for this address.

    aiohttp's own `trust_env` would also send what a `.netrc` says, in place of our key.
    """
    if url.host is None or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all")
