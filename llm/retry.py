"""Whether, and how long after, a failed request is tried again; no clock, no I/O."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable

from llm.errors import ProviderError, ProviderOverloaded, ProviderRateLimited, ProviderTimeout

MAX_RETRIES = 2
BASE_DELAY_S = 0.5
MAX_DELAY_S = 8.0
# With another model at hand, only what is over in a moment is tried again, and once.
MAX_RETRIES_BEFORE_ANOTHER = 1
LASTING = (ProviderOverloaded, ProviderRateLimited, ProviderTimeout)

BUDGET_TOKENS = 200.0
TOKENS_PER_SUCCESS = 0.5


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
    """Lets retries be a fraction of what succeeds, so that they do not keep a provider down.

    A token bucket for each provider, after gRPC's proposal A6, "Client Retries": a failure takes a
    token, a success gives a part of one, and below half of them nothing is tried again.
    """

    def __init__(self) -> None:
        self._tokens: defaultdict[str, float] = defaultdict(lambda: BUDGET_TOKENS)

    def note_success(self, provider: str) -> None:
        self._tokens[provider] = min(BUDGET_TOKENS, self._tokens[provider] + TOKENS_PER_SUCCESS)

    def note_failure(self, provider: str) -> None:
        self._tokens[provider] = max(0.0, self._tokens[provider] - 1)

    def allows(self, provider: str) -> bool:
        """Say whether a failed request may be sent again."""
        return self._tokens[provider] > BUDGET_TOKENS / 2
