"""The slots of all workers, kept in Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
import redis
from redis.exceptions import NoScriptError, RedisError

from chatbot.core.stores import Absence
from llm.admission.slots import Ask, Quota, SlotsAway, View

SCRIPT = Path(__file__).with_name("slots.lua").read_text()
SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
# Now: a role that is free, or one's own, is held.
HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
PREFIX = "admission:"
# JSON has no place for None among numbers.
NONE = -1

T = TypeVar("T")


class RedisSlots:
    """See `Slots`. `away` remembers that the server does not answer, for all that use it."""

    def __init__(self, client: redis.Redis, away: Absence) -> None:
        self._client = client
        self._away = away

    def exchange(self, asks: Sequence[Ask], *, lease_ms: int) -> list[View]:
        keys = [f"{PREFIX}{kind}:{ask.lane.name}" for ask in asks for kind in ("slots", "lane")]
        wire = orjson.dumps({"lease": lease_ms, "lanes": [_encode(ask) for ask in asks]})
        answer = orjson.loads(self._call(lambda: self._run(keys, wire)))
        return [_decode(view, answer["now_ms"]) for view in answer["views"]]

    def hold_role(self, role: str, owner: str, *, lease_ms: int) -> bool:
        key = f"{PREFIX}role:{role}"
        return bool(self._call(lambda: self._client.eval(HOLD, 1, key, owner, str(lease_ms))))

    def publish(self, name: str, value: bytes, *, keep_ms: int) -> None:
        self._call(lambda: self._client.set(f"{PREFIX}value:{name}", value, px=keep_ms))

    def read(self, name: str) -> bytes | None:
        value: bytes | None = self._call(lambda: self._client.get(f"{PREFIX}value:{name}"))
        return value

    def _run(self, keys: list[str], wire: bytes) -> Any:
        try:
            return self._client.evalsha(SCRIPT_SHA, len(keys), *keys, wire)
        except NoScriptError:
            return self._client.eval(SCRIPT, len(keys), *keys, wire)

    def _call(self, call: Callable[[], T]) -> Any:
        if not self._away.may_try():
            raise SlotsAway
        try:
            answer = call()
        except (RedisError, OSError) as exc:
            self._away.note_failure(exc)
            raise SlotsAway from exc
        self._away.note_answer()
        return answer


def _encode(ask: Ask) -> dict[str, Any]:
    rules, quota = ask.lane.rules, ask.quota or Quota()
    return {
        "ceiling": rules.ceiling or 0,
        "requests_per_minute": rules.requests_per_minute or 0,
        "tokens_per_minute": rules.tokens_per_minute or 0,
        "take": [(wish.slot, wish.tokens) for wish in ask.take],
        "renew": list(ask.renew),
        "release": list(ask.release),
        "accepted": list(ask.accepted),
        "refused": [(one.number, _or_none(one.retry_after_ms)) for one in ask.refused],
        "held": list(ask.held_ms),
        "tokens_back": ask.tokens_back,
        "quota": [
            quota.requests_per_minute or 0,
            _or_none(quota.requests_left),
            quota.tokens_per_minute or 0,
            _or_none(quota.tokens_left),
        ],
    }


def _or_none(number: int | None) -> int:
    return NONE if number is None else number


def _decode(view: dict[str, Any], now_ms: int) -> View:
    return View(
        # An empty list comes as an empty object.
        granted=tuple(view["granted"]),
        limit=float(view["limit"]),
        in_flight=view["in_flight"],
        rest_ms=int(view["rest_ms"]),
        served=int(view["served"]),
        refused=int(view["refused"]),
        held_ms=float(view["held_ms"]),
        now_ms=int(now_ms),
    )
