"""Prometheus metrics that more than one module counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

UNREADABLE = Counter(
    "parley_unreadable_values_total", "Sealed values that did not open; any is an alert."
)
GENERATIONS = Counter(
    "parley_generations_total", "Generations that ended, by how.", ["state", "model"]
)
FIRST_TOKEN = Histogram(
    "parley_first_token_seconds",
    "From accepting a message to the first text in its event log.",
    ["model"],
    buckets=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 60),
)
RUNNING = Gauge("parley_generations_running", "Generations this process is writing now.")
READERS = Gauge("parley_stream_readers", "Readers this process is serving now.")
REFUSED = Counter(
    "parley_sends_refused_total", "Messages refused for the length of a line.", ["lane", "plan"]
)
LANE_LIMIT = Gauge(
    "parley_lane_limit", "Calls that a provider's lane has at once, at most.", ["lane"]
)
LANE_IN_FLIGHT = Gauge("parley_lane_in_flight", "Slots that are held in a lane now.", ["lane"])
LANE_WAITING = Gauge("parley_lane_waiting", "Messages that wait for a lane.", ["lane", "plan"])
LANE_SERVED = Gauge(
    "parley_lane_calls_accepted", "Calls that a lane's provider took, since it began.", ["lane"]
)
LANE_REFUSED = Gauge(
    "parley_lane_calls_refused", "Calls that it would not take (429, 529), likewise.", ["lane"]
)
BREAKER = Gauge(
    "parley_breaker_state",
    "A model's circuit breaker, as this process knows it: 0 closed, 1 open, 2 being tried.",
    ["model"],
)
CONTEXT_READS = Counter(
    "parley_context_reads_total",
    "Prompts put together, by where the turns before came from; refused: a cached one was not ours.",
    ["source"],
)
