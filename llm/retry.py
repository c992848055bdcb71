"""Whether, and how long after, a failed request is tried again; no I/O."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable

from llm.errors import ProviderError, ProviderOverloaded, ProviderRateLimited, ProviderTimeout

MAX_RETRIES = 2
BASE_DELAY_S = 0.5
MAX_DELAY_S = 8.0
# With another model at hand, only what is over in a moment is tried again, and once.
MAX_RETRIES_BEFORE_ANOTHER = 1
LASTING = (ProviderOverloaded, ProviderRateLimited, ProviderTimeout)

# Retries that may be made at once, and what they grow back by.
MOST_TOKENS = 100.0
TOKENS_PER_S = 10.0
TOKENS_PER_CALL = 0.2


def retry_delay_s(
    error: ProviderError,
    *,
    attempt: int,
    has_another: bool = False,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Return seconds to wait after failure number `attempt` (from 0); None to give up.

    Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): clients that failed
    together do not return together. A provider's own `retry-after` is kept to, with jitter on
    top; one longer than a reader would wait for means giving up. `has_another`: there is another
    model to turn to, so that a wait has to be worth it.
    """
    most = MAX_RETRIES_BEFORE_ANOTHER if has_another else MAX_RETRIES
    if not error.retryable or attempt >= most or (has_another and isinstance(error, LASTING)):
        return None
    ceiling = min(MAX_DELAY_S, BASE_DELAY_S * 2**attempt)
    if error.retry_after_s is None:
        return uniform(0, ceiling)
    if has_another or error.retry_after_s > MAX_DELAY_S:
        return None
    return error.retry_after_s + uniform(0, BASE_DELAY_S)


class RetryBudget:
    """Lets retries be a fraction of all calls, so that they do not keep a provider down.

    A token bucket for each provider, with what Finagle gives by default ("Retry Budgets",
    finagle.github.io/blog/2016/02/08/retry-budgets): a retry takes a token, each call gives a fifth
    of one, and ten come with each second, so that an outage does not outlast itself here and few
    calls can be tried again as well as many.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: defaultdict[str, float] = defaultdict(lambda: MOST_TOKENS)
        self._seen_at: dict[str, float] = {}

    def note_call(self, provider: str) -> None:
        """Note that a call is made, whether for the first time or again."""
        self._put(provider, TOKENS_PER_CALL)

    def take(self, provider: str) -> bool:
        """Say whether a failed call may be made again; if so, that counts as a retry."""
        self._put(provider, 0.0)
        if self._tokens[provider] < 1:
            return False
        self._tokens[provider] -= 1
        return True

    def _put(self, provider: str, tokens: float) -> None:
        now = self._clock()
        tokens += (now - self._seen_at.get(provider, now)) * TOKENS_PER_S
        self._seen_at[provider] = now
        self._tokens[provider] = min(MOST_TOKENS, self._tokens[provider] + tokens)
