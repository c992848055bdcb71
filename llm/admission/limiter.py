"""One lane's limit, buckets and slots. Pure: no I/O, no clock; `slots.lua` says the same.

The limit finds out how many calls a provider takes at once, as TCP finds out what a path carries
(additive increase, multiplicative decrease; RFC 5681, and Netflix's concurrency-limits for
services):

- it begins with START and grows by one with each call that is accepted, until the first refusal;
- a refusal halves it, on the basis of what was in flight, once for all calls that were begun before
  (RFC 6582 calls that the recovery point);
- what the provider had in flight when it refused is remembered: the limit returns there quickly
  and goes on from there by one in two rounds of calls (as RFC 9438 does in its concave part). Well
  beyond it, what was remembered is out of date, and forgotten;
- only a limit that is used grows;
- it never falls below one, and who refuses even that is left alone for longer and longer.

Requests and tokens per minute are token buckets that fill continuously, as the providers' are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

from llm.admission.slots import Ask, Quota, Refusal, Rules, View

START = 32.0
FLOOR = 1.0
# How much the limit grows in a round of calls once it is where it was last refused.
PROBE = 0.5
# So far beyond where it was last refused, a lane is taken for another one.
FORGET_FACTOR = 1.25
FORGET_CALLS = 4
# Pauses of a lane that refuses its only call, without saying for how long: 0.5 s, 1 s, … 8 s.
PAUSE_MS = 250
MAX_STRIKES = 5
# A provider may ask for an hour; it is asked again before.
MAX_REST_MS = 60_000
# A bucket holds what comes in this time: providers spread a minute's limit over its seconds.
BURST_S = 10
MINUTE_MS = 60_000
# Weight of the last call in what one takes lately.
HELD_WEIGHT = 8


@dataclass(slots=True)
class Bucket:
    """What may be used now of a limit per minute; a rate of 0 is no limit."""

    level: float = -1.0
    at_ms: int = 0
    # As the provider says; 0 if it does not.
    seen: int = 0

    def rate(self, configured: int | None) -> int:
        if configured and self.seen:
            return min(configured, self.seen)
        return configured or self.seen

    def hear(self, per_minute: int | None, left: int | None) -> None:
        if per_minute:
            self.seen = per_minute
        if left is not None:
            self.level = left if self.level < 0 else min(self.level, left)

    def fill(self, rate: int, now_ms: int) -> None:
        if rate:
            level = size(rate) if self.level < 0 else self.level
            self.level = min(size(rate), level + (now_ms - self.at_ms) * rate / MINUTE_MS)
        self.at_ms = now_ms


def size(rate: int) -> float:
    """Return how much of a limit per minute may be used at once."""
    return max(1.0, rate * BURST_S / 60)


@dataclass(slots=True)
class LaneState:
    limit: float = START
    # How many were in flight, at most, when the provider last refused one more; 0: never.
    refused_at: float = 0.0
    taken: int = 0
    cut_at: int = 0
    strikes: int = 0
    rest_until_ms: int = 0
    served: int = 0
    refused: int = 0
    held_ms: float = 0.0
    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    # By slot, until when it is held.
    slots: dict[str, int] = field(default_factory=dict)

    def exchange(self, ask: Ask, *, lease_ms: int, now_ms: int) -> View:
        """Hear what a worker says of this lane and give it what there is; see `Slots`."""
        rules = ask.lane.rules
        self.slots = {slot: until for slot, until in self.slots.items() if until > now_ms}
        in_flight = len(self.slots)
        for number in ask.accepted:
            self._accept(number, in_flight)
        for refusal in ask.refused:
            self._refuse(refusal, in_flight, now_ms)
        if rules.ceiling is not None:
            self.limit = min(self.limit, max(FLOOR, rules.ceiling))
        for slot in ask.release:
            self.slots.pop(slot, None)
        for slot in ask.renew:
            self.slots[slot] = now_ms + lease_ms
        for held_ms in ask.held_ms:
            self.held_ms += (held_ms - self.held_ms) / (HELD_WEIGHT if self.held_ms else 1)
        self._fill(rules, ask.tokens_back, ask.quota, now_ms)
        granted = self._grant(ask, lease_ms, now_ms)
        return View(
            granted=tuple(granted),
            limit=self.limit,
            in_flight=len(self.slots),
            rest_ms=max(0, self.rest_until_ms - now_ms),
            served=self.served,
            refused=self.refused,
            held_ms=self.held_ms,
            now_ms=now_ms,
        )

    def _accept(self, number: int, in_flight: int) -> None:
        self.served += 1
        self.strikes = 0
        # What was begun before the last refusal says nothing of the time after it.
        if number <= self.cut_at or 2 * in_flight < self.limit:
            return
        if not self.refused_at:
            self.limit += 1
        elif self.limit < self.refused_at:
            self.limit = min(self.limit + 1, self.refused_at)
        else:
            self.limit += PROBE / self.limit
            if self.limit > self.refused_at * FORGET_FACTOR + FORGET_CALLS:
                self.refused_at = 0.0

    def _refuse(self, refusal: Refusal, in_flight: int, now_ms: int) -> None:
        self.refused += 1
        rest_ms = 0
        if refusal.retry_after_ms is not None:
            rest_ms = min(refusal.retry_after_ms, MAX_REST_MS)
        if refusal.number <= self.cut_at:
            # One more of those that were too many at the last cut.
            self.refused_at = max(FLOOR, self.refused_at - 1)
        else:
            self.cut_at = self.taken
            self.refused_at = max(FLOOR, float(in_flight - 1))
            self.limit = max(FLOOR, float(floor(min(self.limit, in_flight) / 2)))
            # A rest that is as good as none would have it asked over and over.
            if self.limit == FLOOR and rest_ms < PAUSE_MS:
                self.strikes = min(MAX_STRIKES, self.strikes + 1)
                rest_ms = PAUSE_MS * 2**self.strikes
        self.rest_until_ms = max(self.rest_until_ms, now_ms + rest_ms)

    def _fill(self, rules: Rules, tokens_back: int, quota: Quota | None, now_ms: int) -> None:
        quota = quota or Quota()
        self.requests.hear(quota.requests_per_minute, quota.requests_left)
        self.requests.fill(self.requests.rate(rules.requests_per_minute), now_ms)
        self.tokens.hear(quota.tokens_per_minute, quota.tokens_left)
        rate = self.tokens.rate(rules.tokens_per_minute)
        self.tokens.fill(rate, now_ms)
        if rate:
            self.tokens.level = min(size(rate), self.tokens.level + tokens_back)

    def _grant(self, ask: Ask, lease_ms: int, now_ms: int) -> list[int]:
        requests = self.requests.rate(ask.lane.rules.requests_per_minute)
        tokens = self.tokens.rate(ask.lane.rules.tokens_per_minute)
        granted: list[int] = []
        for wish in ask.take:
            if now_ms < self.rest_until_ms or len(self.slots) >= floor(self.limit):
                break
            # A call that is larger than the bucket goes when the bucket is full.
            needed = min(wish.tokens, size(tokens)) if tokens else 0
            if (requests and self.requests.level < 1) or (tokens and self.tokens.level < needed):
                break
            self.requests.level -= 1 if requests else 0
            self.tokens.level -= needed
            self.taken += 1
            self.slots[wish.slot] = now_ms + lease_ms
            granted.append(self.taken)
        return granted
