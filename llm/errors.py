"""The failures of model providers.

ChatError
├── BadRequest
│   └── UnknownModel                400  no such model, or not available here
│       └── ModelSwitchedOff        400  an operator has switched it off
├── Forbidden
│   └── ModelNotInPlan              403  the person's plan does not have it
├── MessageTooLong
│   └── ContextOverflow             413  the prompt does not fit the model
└── ProviderError                   503
    ├── ProviderRateLimited         retryable; 429, carries retry_after_s
    ├── ProviderOverloaded          retryable; 529, or announced inside the stream
    ├── ProviderBusy                final here; no slot at any provider now, nothing was asked
    ├── ProviderUnavailable         retryable; refused connection, 5xx
    ├── ProviderTimeout             retryable; no first token in time, or stalled after it
    ├── StreamCut                   retryable; ended before its stop reason
    ├── MalformedStream             retryable; bytes that are not the protocol
    ├── EmptyAnswer                 retryable; finished without a word
    │   └── AnswerDeclined          final; the model declined to answer
    ├── ProviderRejected            final; 400 and its like
    │   └── ContextOverflow         final; also a MessageTooLong, see above
    ├── ProviderAuthenticationFailed  final; 401, 403
    └── StreamBroken                final here; text was already shown, `__cause__` says why

Sentences are our own prose. A provider's words never reach a user: they may quote the prompt.
"""

from __future__ import annotations

from typing import ClassVar

from chatbot.core.errors import BadRequest, ChatError, Forbidden, MessageTooLong


class ProviderError(ChatError):
    """A model provider did not deliver. `retryable` tells whether asking again may help."""

    code = "provider_error"
    status = 503
    sentence = "The model could not answer just now. Please try again."
    retryable: ClassVar[bool] = False


class ProviderRateLimited(ProviderError):
    code = "provider_rate_limited"
    sentence = "The model is receiving too many requests. Please try again in a moment."
    retryable = True


class ProviderOverloaded(ProviderError):
    code = "provider_overloaded"
    sentence = "The model is overloaded at the moment. Please try again shortly."
    retryable = True


# Who says so takes too many calls already; others may be taken.
REFUSALS = (ProviderRateLimited, ProviderOverloaded)


class ProviderBusy(ProviderError):
    """Nobody would take the call now; who can wait does, in the queue."""

    code = "provider_busy"
    sentence = "The model is busy at the moment. Please try again shortly."


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"
    sentence = "The model cannot be reached at the moment. Please try again shortly."
    retryable = True


class ProviderTimeout(ProviderError):
    code = "provider_timeout"
    sentence = "The model took too long to answer. Please try again."
    retryable = True


class StreamCut(ProviderError):
    code = "stream_cut"
    sentence = "The connection to the model was lost before the answer was complete."
    retryable = True


class MalformedStream(ProviderError):
    code = "malformed_stream"
    sentence = "The model sent an answer that could not be read. Please try again."
    retryable = True


class EmptyAnswer(ProviderError):
    code = "empty_answer"
    sentence = "The model returned no answer. Please try again."
    retryable = True


class AnswerDeclined(EmptyAnswer):
    code = "answer_declined"
    sentence = "The model declined to answer this message."
    retryable = False


class ProviderRejected(ProviderError):
    code = "provider_rejected"
    sentence = "The model did not accept this request."


class ContextOverflow(ProviderRejected, MessageTooLong):
    code = "context_overflow"
    status = 413
    sentence = "This conversation is too long for the chosen model."


class ProviderAuthenticationFailed(ProviderError):
    code = "provider_authentication_failed"
    sentence = "The model is not set up correctly. Please tell the operator of this service."


class StreamBroken(ProviderError):
    """A failure after text was shown; the runner decides how to go on."""

    code = "stream_broken"
    sentence = "The answer was interrupted before it was complete."


class UnknownModel(BadRequest):
    code = "unknown_model"
    sentence = "This model is not available here."


class ModelSwitchedOff(UnknownModel):
    code = "model_switched_off"
    sentence = "This model is switched off at the moment. Please choose another."


class ModelNotInPlan(Forbidden):
    code = "model_not_in_plan"
    sentence = "Your plan does not include this model. Please choose another."
