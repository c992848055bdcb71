"""Breakers in Redis, shared by all processes; the same rules as `breaker.Breaker`, on its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from chatbot.core.redis import RedisAway, RedisPipeline
from llm.breaker import (
    COOL_S,
    FAILURES,
    LONGEST_COOL_S,
    PROBE_S,
    WINDOW_S,
    Report,
    State,
)

# One model's breaker is a hash that is gone once nothing was heard of it for so long.
KEEP_S = int(10 * LONGEST_COOL_S)

REPORT = f"""
local key, good, bad, wants = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local names = {{'window_at', 'good', 'bad', 'old_good', 'old_bad', 'trips', 'open_until', 'probe_until'}}
local row = redis.call('HMGET', key, unpack(names))
local b, is_known = {{}}, row[1]
for i, name in ipairs(names) do b[name] = tonumber(row[i] or 0) end
local function open()
  b.open_until = now + math.min({LONGEST_COOL_S}, {COOL_S} * 2 ^ b.trips)
  b.trips = b.trips + 1
  b.probe_until, b.good, b.bad, b.old_good, b.old_bad = 0, 0, 0, 0, 0
end
if b.trips > 0 then
  if good > 0 then
    b.trips, b.open_until, b.probe_until = 0, 0, 0
  elseif bad > 0 and now >= b.open_until then
    open()
  end
elseif is_known or good > 0 or bad > 0 then
  if now >= b.window_at + {WINDOW_S} then
    local is_next = now < b.window_at + 2 * {WINDOW_S}
    b.old_good, b.old_bad = is_next and b.good or 0, is_next and b.bad or 0
    b.good, b.bad, b.window_at = 0, 0, now
  end
  b.good, b.bad = b.good + good, b.bad + bad
  local failed = b.bad + b.old_bad
  if failed >= {FAILURES} and failed >= b.good + b.old_good then open() end
else
  return 0
end
local state = 0
if b.trips > 0 then
  state = 1
  if wants and now >= b.open_until and now >= b.probe_until then
    b.probe_until = now + {PROBE_S}
    state = 2
  end
end
local fields = {{}}
for _, name in ipairs(names) do
  fields[#fields + 1] = name
  fields[#fields + 1] = string.format('%.6f', b[name])
end
redis.call('HSET', key, unpack(fields))
redis.call('EXPIRE', key, {KEEP_S})
return state
"""


class RedisBreakers:
    """A `BreakerStore` with one connection for each event loop."""

    def __init__(self) -> None:
        self._pipelines: WeakKeyDictionary[asyncio.AbstractEventLoop, RedisPipeline] = (
            WeakKeyDictionary()
        )

    async def report(self, reports: Mapping[str, Report]) -> Mapping[str, State]:
        try:
            async with asyncio.TaskGroup() as group:
                asking = {
                    name: group.create_task(self._report(name, seen))
                    for name, seen in reports.items()
                }
        except* RedisAway as exc:
            raise OSError("Redis is away.") from exc
        return {name: task.result() for name, task in asking.items()}

    async def _report(self, name: str, seen: Report) -> State:
        wants = int(seen.wants_probe)
        pipeline = self._pipelines.setdefault(asyncio.get_running_loop(), RedisPipeline())
        answer = await pipeline.ask(
            "EVAL", REPORT, 1, f"breaker:{name}", seen.successes, seen.failures, wants
        )
        return State(answer)

    async def aclose(self) -> None:
        pipeline = self._pipelines.pop(asyncio.get_running_loop(), None)
        if pipeline is not None:
            await pipeline.aclose()
