"""The error tree that every front door can encode.

ChatError
├── BadRequest           400   InvalidCursor
├── Unauthenticated      401
├── BudgetExhausted      402
├── Forbidden            403
├── NotFound             404   also for what belongs to somebody else
├── Conflict             409   GenerationActive, IdempotencyMismatch
├── TooLarge             413   MessageTooLong
├── MessageRefused       422   see conversations.screening
├── RateLimited          429
└── Unavailable          503   Busy, WorkerLost

Provider failures are the branch `llm.errors.ProviderError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class ChatError(Exception):
    """A failure that a caller can act on.

    `code` is the contract. The sentence is prose, safe to show to a person: it never carries
    content, keys or a provider's raw words.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    sentence: ClassVar[str] = "Something went wrong on our side. Please try again."
    # What HTTP says besides.
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_s: float | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message or self.sentence)
        self.retry_after_s = retry_after_s
        self.detail = detail

    @property
    def message(self) -> str:
        return str(self.args[0])

    def body(self) -> dict[str, Any]:
        """Return the error object that HTTP, WebSocket and `failed` events share."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.retry_after_s is not None:
            body["retryAfter"] = max(1, round(self.retry_after_s))
        if self.detail:
            body["detail"] = self.detail
        return body


class BadRequest(ChatError):
    code = "invalid_request"
    status = 400
    sentence = "The request could not be understood."


class InvalidCursor(BadRequest):
    code = "invalid_cursor"
    sentence = "The cursor is not one this service gave out."


class Unauthenticated(ChatError):
    code = "unauthenticated"
    status = 401
    sentence = "Sign in, or send a bearer token."


class BudgetExhausted(ChatError):
    code = "budget_exhausted"
    status = 402
    sentence = "This month's token budget is used up."


class Forbidden(ChatError):
    code = "forbidden"
    status = 403
    sentence = "You may not do this."


class NotFound(ChatError):
    code = "not_found"
    status = 404
    sentence = "There is nothing here."


class MethodNotAllowed(ChatError):
    code = "method_not_allowed"
    status = 405
    sentence = "This address does not take that method."


class Conflict(ChatError):
    code = "conflict"
    status = 409
    sentence = "The request contradicts the current state."


class GenerationActive(Conflict):
    code = "generation_active"
    sentence = "An answer is still being written in this conversation."


class IdempotencyMismatch(Conflict):
    code = "idempotency_mismatch"
    sentence = "This idempotency key was used for a different request."


class TooLarge(ChatError):
    code = "too_large"
    status = 413
    sentence = "The request is too large."


class MessageTooLong(TooLarge):
    code = "message_too_long"
    sentence = "The message does not fit the model's context window."


class RateLimited(ChatError):
    code = "rate_limited"
    status = 429
    sentence = "Too many requests. Please wait a moment."

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_s: float | None = None,
        detail: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s, detail=detail)
        self.headers = headers or {}


class Unavailable(ChatError):
    code = "unavailable"
    status = 503
    sentence = "The service is not available right now. Please try again shortly."


class Busy(Unavailable):
    code = "busy"
    sentence = "Very many people are asking just now. Please try again in a moment."


class WorkerLost(Unavailable):
    code = "worker_lost"
    sentence = "The answer could not be finished. Please try again."
