"""Whether, and how long after, a failed request is tried again; no clock, no I/O."""

from __future__ import annotations

import random
from collections.abc import Callable

from llm.errors import ProviderError

MAX_RETRIES = 2
BASE_DELAY_S = 0.5
MAX_DELAY_S = 8.0


def retry_delay_s(
    error: ProviderError,
    *,
    attempt: int,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Return seconds to wait after failure number `attempt` (from 0); None to give up.

    Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): clients that failed
    together do not return together. A provider's own `retry-after` is kept to, with jitter on
    top; one longer than a reader would wait for means giving up.
    """
    if not error.retryable or attempt >= MAX_RETRIES:
        return None
    ceiling = min(MAX_DELAY_S, BASE_DELAY_S * 2**attempt)
    if error.retry_after_s is None:
        return uniform(0, ceiling)
    if error.retry_after_s > MAX_DELAY_S:
        return None
    return error.retry_after_s + uniform(0, BASE_DELAY_S)
