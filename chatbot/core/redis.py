"""Clients of Redis (or Valkey) with bounded patience.

redis-py retries ten times by default, which turns a one-second timeout into fifteen on a server
that swallows packets. Here a failed call fails at once, and its caller decides.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

import redis
import redis.asyncio
from django.conf import settings
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoScriptError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from chatbot.core.tasks import spawn

CONNECT_TIMEOUT_S = 1.0
REPLY_TIMEOUT_S = 2.0
# redis-py refuses commands beyond this many at once instead of letting them wait.
MAX_CONNECTIONS = 512
# What goes out in one piece: a reply of many logs' pages stays within memory.
PIPELINE_COMMANDS = 64

# What a call raises when the server is away, restarts, or does not answer in time.
RedisAway = (RedisError, OSError)
# What a cluster's node says when it does not serve a key, or not now (MOVED is one of ASK's).
# None of these was carried out.
Elsewhere = (AskError, TryAgainError, ClusterDownError)

AsyncRedis = redis.asyncio.Redis
Command = Sequence[str | bytes | int]

# Its stub knows tuples of one only.
_pack: Callable[[tuple[Any, ...]], bytes] = pack_command


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
        protocol=2,
    )
    return client


def blocking_redis(*, patience_s: float = REPLY_TIMEOUT_S) -> redis.Redis:
    """Return the process's client for sync code; it may be used from any thread."""
    return _blocking_client(settings.REDIS_URL, patience_s)


@cache
def _blocking_client(url: str, patience_s: float) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(
        url,
        socket_connect_timeout=min(CONNECT_TIMEOUT_S, patience_s),
        socket_timeout=patience_s,
        retry=Retry(NoBackoff(), 0),
    )
    return client


class Place(Protocol):
    """What a line leads to."""

    async def connection(self) -> AbstractConnection:
        """Return a connection that is not yet made. Raises what `RedisAway` names."""

    def doubt(self) -> None:
        """Hear that a line to here was dropped."""


class OneServer:
    """The server at REDIS_URL."""

    def __init__(self) -> None:
        self._pool = ConnectionPool.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            # `call` bounds a whole exchange at once.
            socket_timeout=None,
            retry=AsyncRetry(NoBackoff(), 0),
            protocol=2,
        )

    async def connection(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    def doubt(self) -> None:
        """There is no other."""


class RedisLine:
    """One connection that one task has to itself, without a pool between.

    Commands go out together and their replies come back in order. Whatever goes wrong drops the
    connection, so that no late reply is taken for another command's; the next call opens a new
    one, and sends `greeting` first. Without a `place` it leads to REDIS_URL.
    """

    def __init__(self, *, greeting: Iterable[Command] = (), place: Place | None = None) -> None:
        self._place = place or OneServer()
        self._connection: AbstractConnection | None = None
        self._greeting = tuple(greeting)

    async def call(self, commands: Sequence[Command], *, timeout_s: float) -> list[Any]:
        """Return the replies, a refused command's ResponseError among them.

        Raises what `RedisAway` names. Then it is not known which commands were carried out.
        """
        try:
            async with asyncio.timeout(timeout_s):
                connection = self._connection
                if connection is None or not connection.is_connected:
                    connection = self._connection = await self._place.connection()
                    await connection.connect()  # type: ignore[no-untyped-call]
                    await self._exchange(connection, self._greeting)
                return await self._exchange(connection, commands)
        except TimeoutError as exc:
            await self._drop()
            raise redis.exceptions.TimeoutError("Redis did not answer in time.") from exc
        except BaseException:
            # A caller that is cancelled leaves its replies unread.
            await self._drop()
            raise

    async def aclose(self) -> None:
        await self._drop()
        # The socket closes in the event loop's next turn, which may be its last.
        await asyncio.sleep(0)

    async def _exchange(
        self, connection: AbstractConnection, commands: Sequence[Command]
    ) -> list[Any]:
        # redis-py packs in Python what hiredis packs in C: 5 µs against 1 for an append.
        packed = b"".join([_pack(tuple(command)) for command in commands])
        await connection.send_packed_command(packed, check_health=False)
        replies: list[Any] = []
        is_elsewhere = False
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except ResponseError as exc:
                replies.append(exc)
                is_elsewhere = is_elsewhere or isinstance(exc, Elsewhere)
        if is_elsewhere:
            await self._drop()
        return replies

    async def _drop(self) -> None:
        self._place.doubt()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        writer: asyncio.StreamWriter | None = getattr(connection, "_writer", None)
        await connection.disconnect(nowait=True)
        if writer is not None:
            # What is left to send has nobody to hear its reply; waiting for it would leak the
            # socket of a server that does not read.
            writer.transport.abort()


class RedisPipeline:
    """One connection for many tasks: what they ask at the same moment goes out together.

    A crowd that comes at once costs a few round trips and no further connection.
    """

    def __init__(self, *, greeting: Iterable[Command] = (), place: Place | None = None) -> None:
        self._line = RedisLine(greeting=greeting, place=place)
        self._asked: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._carrier: asyncio.Task[None] | None = None

    async def ask(self, *command: str | bytes | int) -> Any:
        """Return the reply to one command. Raises what `RedisAway` names.

        Nobody waits for longer than two timeouts: what asked while a server did not answer fails
        with what it was asked before. A caller that is cancelled gives up the reply; the command may be carried out.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append((command, answer))
        if self._carrier is None or self._carrier.done():
            self._carrier = spawn(self._carry(), name="redis pipeline")
        return await answer

    async def aclose(self) -> None:
        if self._carrier is not None:
            self._carrier.cancel()
            await asyncio.wait([self._carrier])
        self._fail_all(redis.exceptions.ConnectionError("The connection was closed."))
        await self._line.aclose()

    async def _carry(self) -> None:
        while self._asked:
            batch = [self._asked.popleft() for _ in range(min(len(self._asked), PIPELINE_COMMANDS))]
            try:
                commands = [command for command, _ in batch]
                replies = await self._line.call(commands, timeout_s=REPLY_TIMEOUT_S)
            except RedisAway as exc:
                replies = [exc] * len(batch)
                if isinstance(exc, redis.exceptions.TimeoutError):
                    # The next ones would meet the same silence, each after those before it.
                    self._fail_all(exc)
            except BaseException as exc:
                # Also when this task is cancelled: nobody else would answer who waits.
                lost = redis.exceptions.ConnectionError(f"Not sent: {type(exc).__name__}.")
                for _, answer in batch:
                    _settle(answer, lost)
                raise
            if any(isinstance(reply, NoScriptError) for reply in replies):
                # Somebody emptied the server's scripts: the greeting brings ours again.
                await self._line.aclose()
            for (_, answer), reply in zip(batch, replies, strict=True):
                _settle(answer, reply)

    def _fail_all(self, exc: Exception) -> None:
        while self._asked:
            _, answer = self._asked.popleft()
            _settle(answer, exc)


def _settle(answer: asyncio.Future[Any], reply: Any) -> None:
    if answer.done():
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
