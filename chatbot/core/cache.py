"""Django's cache in Redis, which goes on in this process's memory while Redis is away.

What is kept here are counts of attempts and sends: counted per process they are looser, by the
number of processes, and still there. A count that began in one place starts anew in the other.
"""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django_redis.cache import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from chatbot.core.redis import RedisAway
from chatbot.core.stores import REDIS

# A person waits for the answer. Once a timeout was met, nobody waits for the next.
PATIENCE_S = 0.5

OPTIONS = {
    "SOCKET_CONNECT_TIMEOUT": PATIENCE_S,
    "SOCKET_TIMEOUT": PATIENCE_S,
    # Once more for a connection that a restart left dead in the pool; never after a timeout.
    "CONNECTION_POOL_KWARGS": {
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    },
}


class FallbackCache(BaseCache):
    """`clear` is missing on purpose: in Redis it would empty what others keep there."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._shared: BaseCache = RedisCache(server, {**params, "OPTIONS": OPTIONS})
        # Of one name, so that all threads of the process share it.
        self._local = LocMemCache("without-redis", params)

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        if REDIS.may_try():
            try:
                answer = getattr(self._shared, method)(*arguments, **named)
            except RedisAway as exc:
                REDIS.note_failure(exc)
            else:
                REDIS.note_answer()
                return answer
        return getattr(self._local, method)(*arguments, **named)

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> bool:
        return bool(self._call("add", key, value, timeout=timeout, version=version))

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return self._call("get", key, default, version=version)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        self._call("set", key, value, timeout=timeout, version=version)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        return bool(self._call("touch", key, timeout=timeout, version=version))

    def delete(self, key: Any, version: Any = None) -> bool:
        return bool(self._call("delete", key, version=version))

    def has_key(self, key: Any, version: Any = None) -> bool:
        return bool(self._call("has_key", key, version=version))

    def incr(self, key: Any, delta: int = 1, version: Any = None) -> int:
        try:
            return int(self._call("incr", key, delta, version=version))
        except ValueError:
            # Redis went, or forgot everything, since the key was added.
            self.add(key, 0, version=version)
            return int(self._call("incr", key, delta, version=version))
