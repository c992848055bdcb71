"""Where entries are kept: one value per conversation in Redis, for as long as it is talked in.

Without Redis, or while it is away, there are none: everything goes on from the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from redis.exceptions import ResponseError

from chatbot.core.quickredis import QuickRedis, Script, quick_redis
from chatbot.core.redis import RedisAway
from chatbot.core.stores import REDIS

logger = logging.getLogger(__name__)

# A turn later this is read, opened and parsed again: beyond, the provider's own price and time for
# such a prompt are many times what the database takes.
MAX_BYTES = 512 * 1024

# Added only to the very entry that was read, as it was then.
APPEND = Script("""
if redis.call('STRLEN', KEYS[1]) ~= tonumber(ARGV[2]) then return 0 end
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
redis.call('APPEND', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
""")


def has_store() -> bool:
    return bool(settings.REDIS_URL)


def read_raw(conversation_id: UUID) -> bytes | None:
    """Return an entry; None where there is none, or nobody to ask."""
    raw: bytes | None = _ask(lambda server: server.call("GET", _key(conversation_id)))
    return raw


def write_raw(conversation_id: UUID, raw: bytes) -> None:
    """Keep an entry in place of any other; one that is too large takes the other with it."""
    if len(raw) > MAX_BYTES:
        forget_contexts([conversation_id])
        return
    key, keep_ms = _key(conversation_id), _keep_ms()
    _ask(lambda server: server.call("SET", key, raw, "PX", keep_ms))


def append_raw(conversation_id: UUID, *, head: bytes, size: int, part: bytes) -> None:
    """Add a part to the entry with this head, unless it is not of this size any more."""
    key, keep_ms = _key(conversation_id), _keep_ms()
    _ask(lambda server: server.run(APPEND, [key], head, size, part, keep_ms))


def forget_contexts(conversation_ids: Iterable[UUID]) -> None:
    """Delete entries. What a Redis that is away keeps of them goes after its time."""
    keys = [_key(one) for one in conversation_ids]
    if keys:
        _ask(lambda server: server.call("UNLINK", *keys))


def _key(conversation_id: UUID) -> str:
    # The braces hold what decides the slot in a cluster.
    return f"context:{{{conversation_id}}}"


def _keep_ms() -> int:
    return round(1000 * settings.CONTEXT_CACHE_S)


def _ask(question: Callable[[QuickRedis], Any]) -> Any:
    if not has_store() or not REDIS.may_try():
        return None
    try:
        answer = question(quick_redis(settings.REDIS_URL))
    except ResponseError as exc:
        # It is there, but has no room, or something else under this name.
        logger.warning("Redis keeps no context: %s", exc)
        return None
    except RedisAway as exc:
        REDIS.note_failure(exc)
        return None
    REDIS.note_answer()
    return answer
