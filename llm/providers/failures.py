"""Say in our own terms what a provider reported.

A provider's message is only searched, never shown or logged: it may quote the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from llm.errors import (
    ContextOverflow,
    ProviderAuthenticationFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

# platform.claude.com, "Errors"; then two of llama.cpp's server; then codes of developers.openai.com,
# "Error codes".
BY_TYPE: Mapping[str, type[ProviderError]] = {
    "rate_limit_error": ProviderRateLimited,
    "overloaded_error": ProviderOverloaded,
    "api_error": ProviderUnavailable,
    "timeout_error": ProviderTimeout,
    "gateway_timeout_error": ProviderTimeout,
    "invalid_request_error": ProviderRejected,
    "not_found_error": ProviderRejected,
    "request_too_large": ContextOverflow,
    "billing_error": ProviderAuthenticationFailed,
    "authentication_error": ProviderAuthenticationFailed,
    "permission_error": ProviderAuthenticationFailed,
    "exceed_context_size_error": ContextOverflow,
    "server_error": ProviderUnavailable,
    "rate_limit_exceeded": ProviderRateLimited,
    "insufficient_quota": ProviderAuthenticationFailed,
    "invalid_api_key": ProviderAuthenticationFailed,
    "context_length_exceeded": ContextOverflow,
}

BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: ProviderAuthenticationFailed,
    402: ProviderAuthenticationFailed,
    403: ProviderAuthenticationFailed,
    408: ProviderTimeout,
    413: ContextOverflow,
    429: ProviderRateLimited,
    504: ProviderTimeout,
    529: ProviderOverloaded,
}

TOO_LONG_PHRASES = (
    "prompt is too long",
    "exceed context limit",
    "exceeds the available context size",
    "maximum context length",
)


def error_from_status(status: int, *, body: object, retry_after: str | None) -> ProviderError:
    """Return the error for a response with an error status."""
    kind, message = _kind_and_message(body)
    error = BY_STATUS.get(status)
    if kind == "insufficient_quota":
        # Said with 429, but waiting does not help.
        error = ProviderAuthenticationFailed
    if error is None and status >= 500:
        error = ProviderUnavailable
    if error is None:
        error = ContextOverflow if _is_too_long(kind, message) else ProviderRejected
    return error(retry_after_s=parse_retry_after(retry_after))


def error_from_event(body: object) -> ProviderError:
    """Return the error for an `error` event inside a stream."""
    kind, message = _kind_and_message(body)
    if _is_too_long(kind, message):
        return ContextOverflow()
    return BY_TYPE.get(kind, ProviderUnavailable)()


def describe(body: object) -> str:
    """Return the kind of failure if it is one we know: an identifier, safe to log."""
    kind, _ = _kind_and_message(body)
    return kind if kind in BY_TYPE else "unknown"


def parse_retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Return seconds from a Retry-After header, a number or an HTTP date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now=now or datetime.now(UTC))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(value: str, *, now: datetime) -> float | None:
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _is_too_long(kind: str, message: str) -> bool:
    if BY_TYPE.get(kind) is ContextOverflow:
        return True
    lowered = message.lower()
    return any(phrase in lowered for phrase in TOO_LONG_PHRASES)


def _kind_and_message(body: object) -> tuple[str, str]:
    details: Any = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(details, dict):
        return "", str(details or "")
    # OpenAI's code says more than its type; llama.cpp's is the status again.
    code = details.get("code")
    kind = code if isinstance(code, str) and code in BY_TYPE else details.get("type", "")
    return str(kind), str(details.get("message", ""))
