"""Commands to Redis from sync code that a person waits for, with as little between as can be.

redis-py's client takes twice the CPU of what is here; what it does besides (retries, health checks,
metrics) is not wanted for a command that is sent for every request.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError, NoScriptError, ResponseError
from redis.retry import Retry

from chatbot.core.cache import PATIENCE_S


class Script:
    """A Lua script, which a server knows by its hash once it has seen it."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Redis names scripts so; nothing is secured by it.
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class QuickRedis:
    """One server's connections, each of which serves one thread at a time."""

    def __init__(self, url: str) -> None:
        self._pool = redis.ConnectionPool.from_url(
            url,
            socket_connect_timeout=PATIENCE_S,
            socket_timeout=PATIENCE_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        # Taken and put back at its end: a list does either in one step, in any thread.
        self._idle: list[AbstractConnection] = []

    def call(self, *command: str | bytes | int) -> Any:
        """Return the reply to a command. Raises what `RedisAway` names.

        A connection that a restart left dead is not the end: then the command goes out once more.
        """
        while True:
            try:
                connection, is_new = self._idle.pop(), False
            except IndexError:
                connection, is_new = cast(AbstractConnection, self._pool.make_connection()), True
            try:
                return self._exchange(connection, command)
            except RedisConnectionError:
                if is_new:
                    raise

    def run(self, script: Script, keys: list[str], *arguments: str | bytes | int) -> Any:
        """Return what a script returns for these keys. Raises what `RedisAway` names."""
        try:
            return self.call("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self.call("EVAL", script.text, len(keys), *keys, *arguments)

    def _exchange(
        self, connection: AbstractConnection, command: tuple[str | bytes | int, ...]
    ) -> Any:
        try:
            packed = connection.pack_command(*command)  # type: ignore[no-untyped-call]
            connection.send_packed_command(packed, check_health=False)  # type: ignore[no-untyped-call]
            reply = connection.read_response()
        except ResponseError:
            # An answer like any other, of which nothing is left on the connection.
            self._idle.append(connection)
            raise
        except BaseException:
            # Whatever ended it, its reply may still come, and would be taken for the next command's.
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        self._idle.append(connection)
        return reply


quick_redis = cache(QuickRedis)
