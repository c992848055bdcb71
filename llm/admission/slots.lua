-- Slots of all workers, in Redis. For each lane, KEYS has its slots (sorted by expiry on this
-- server's clock) and its state; ARGV[1] is a lease in milliseconds and what each lane is asked.
-- The reply has this clock and a view of each lane. What happens here is said, and explained, in
-- llm/admission/limiter.py; a test compares the two.

local START, FLOOR = 32, 1
local PROBE, FORGET_FACTOR, FORGET_CALLS = 0.5, 1.25, 4
local PAUSE_MS, MAX_STRIKES, MAX_REST_MS = 250, 5, 60000
local BURST_S, MINUTE_MS, HELD_WEIGHT = 10, 60000, 8
-- A lane that nobody has used for so long begins anew.
local KEEP_S = 86400

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local request = cjson.decode(ARGV[1])
local lease = request.lease

local FIELDS = {
  'limit', 'refused_at', 'taken', 'cut_at', 'strikes', 'rest_until', 'served', 'refused', 'held',
  'requests_level', 'requests_at', 'requests_seen', 'tokens_level', 'tokens_at', 'tokens_seen',
}
local DEFAULTS = {limit = START, requests_level = -1, tokens_level = -1}

local function load(key)
  local state = {}
  local values = redis.call('HMGET', key, unpack(FIELDS))
  for place, name in ipairs(FIELDS) do
    state[name] = tonumber(values[place] or DEFAULTS[name] or 0)
  end
  return state
end

local function store(key, state)
  local values = {}
  for _, name in ipairs(FIELDS) do
    values[#values + 1] = name
    -- Seventeen digits are the whole of a double.
    values[#values + 1] = string.format('%.17g', state[name])
  end
  redis.call('HSET', key, unpack(values))
  redis.call('EXPIRE', key, KEEP_S)
end

local function accept(state, number, in_flight)
  state.served = state.served + 1
  state.strikes = 0
  if number <= state.cut_at or 2 * in_flight < state.limit then
    return
  end
  if state.refused_at == 0 then
    state.limit = state.limit + 1
  elseif state.limit < state.refused_at then
    state.limit = math.min(state.limit + 1, state.refused_at)
  else
    state.limit = state.limit + PROBE / state.limit
    if state.limit > state.refused_at * FORGET_FACTOR + FORGET_CALLS then
      state.refused_at = 0
    end
  end
end

local function refuse(state, number, retry_after, in_flight)
  state.refused = state.refused + 1
  local rest = 0
  if retry_after >= 0 then
    rest = math.min(retry_after, MAX_REST_MS)
  end
  if number <= state.cut_at then
    state.refused_at = math.max(FLOOR, state.refused_at - 1)
  else
    state.cut_at = state.taken
    state.refused_at = math.max(FLOOR, in_flight - 1)
    state.limit = math.max(FLOOR, math.floor(math.min(state.limit, in_flight) / 2))
    if state.limit == FLOOR and rest < PAUSE_MS then
      state.strikes = math.min(MAX_STRIKES, state.strikes + 1)
      rest = PAUSE_MS * 2 ^ state.strikes
    end
  end
  state.rest_until = math.max(state.rest_until, now + rest)
end

local function size(rate)
  return math.max(1, rate * BURST_S / 60)
end

-- Brings a bucket up to now and returns its rate per minute; 0 is no limit.
local function fill(state, bucket, configured, seen, left)
  local level, at = bucket .. '_level', bucket .. '_at'
  if seen > 0 then
    state[bucket .. '_seen'] = seen
  end
  if left >= 0 then
    state[level] = state[level] < 0 and left or math.min(state[level], left)
  end
  local rate = state[bucket .. '_seen']
  if configured > 0 then
    rate = rate > 0 and math.min(configured, rate) or configured
  end
  if rate > 0 then
    local before = state[level] < 0 and size(rate) or state[level]
    state[level] = math.min(size(rate), before + (now - state[at]) * rate / MINUTE_MS)
  end
  state[at] = now
  return rate
end

local function exchange(slots, key, ask)
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
  local in_flight = redis.call('ZCARD', slots)
  local state = load(key)
  for _, number in ipairs(ask.accepted) do
    accept(state, number, in_flight)
  end
  for _, refusal in ipairs(ask.refused) do
    refuse(state, refusal[1], refusal[2], in_flight)
  end
  if ask.ceiling > 0 then
    state.limit = math.min(state.limit, ask.ceiling)
  end
  for _, slot in ipairs(ask.release) do
    redis.call('ZREM', slots, slot)
  end
  for _, slot in ipairs(ask.renew) do
    redis.call('ZADD', slots, now + lease, slot)
  end
  for _, held in ipairs(ask.held) do
    state.held = state.held + (held - state.held) / (state.held == 0 and 1 or HELD_WEIGHT)
  end
  local quota = ask.quota
  local requests = fill(state, 'requests', ask.requests_per_minute, quota[1], quota[2])
  local tokens = fill(state, 'tokens', ask.tokens_per_minute, quota[3], quota[4])
  if tokens > 0 then
    state.tokens_level = math.min(size(tokens), state.tokens_level + ask.tokens_back)
  end
  in_flight = redis.call('ZCARD', slots)
  local granted = {}
  for _, wish in ipairs(ask.take) do
    if now < state.rest_until or in_flight >= math.floor(state.limit) then
      break
    end
    local needed = tokens > 0 and math.min(wish[2], size(tokens)) or 0
    if (requests > 0 and state.requests_level < 1) or (tokens > 0 and state.tokens_level < needed) then
      break
    end
    if requests > 0 then
      state.requests_level = state.requests_level - 1
    end
    state.tokens_level = state.tokens_level - needed
    state.taken = state.taken + 1
    redis.call('ZADD', slots, now + lease, wish[1])
    in_flight = in_flight + 1
    granted[#granted + 1] = state.taken
  end
  redis.call('EXPIRE', slots, KEEP_S)
  store(key, state)
  return {
    granted = granted,
    limit = string.format('%.17g', state.limit),
    in_flight = in_flight,
    rest_ms = math.max(0, state.rest_until - now),
    served = state.served,
    refused = state.refused,
    held_ms = string.format('%.17g', state.held),
  }
end

local views = {}
for place, ask in ipairs(request.lanes) do
  views[place] = exchange(KEYS[2 * place - 1], KEYS[2 * place], ask)
end
return cjson.encode({now_ms = now, views = views})
