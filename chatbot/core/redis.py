"""Clients of Redis (or Valkey) with bounded patience.

redis-py retries ten times by default, which turns a one-second timeout into fifteen on a server
that swallows packets. Here a failed call fails at once, and its caller decides.
"""

from __future__ import annotations

from functools import cache

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT_S = 1.0
REPLY_TIMEOUT_S = 2.0
# redis-py refuses commands beyond this many at once instead of letting them wait.
MAX_CONNECTIONS = 512

AsyncRedis = redis.asyncio.Redis


def open_redis(*, reply_timeout_s: float = REPLY_TIMEOUT_S) -> AsyncRedis:
    """Return a client for the running event loop; close it with `aclose`.

    A cancelled call drops its connection: a late reply on it would answer somebody else's call.
    """
    client: AsyncRedis = redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=reply_timeout_s,
        max_connections=MAX_CONNECTIONS,
        retry=AsyncRetry(NoBackoff(), 0),
    )
    return client


@cache
def blocking_redis() -> redis.Redis:
    """Return the process's client for sync code; it may be used from any thread."""
    client: redis.Redis = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=REPLY_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return client
