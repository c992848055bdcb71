"""How many messages a person may send in a minute, counted the same for HTTP and WebSocket.

With Redis away each process counts for itself, or refuses: RATE_LIMIT_WITHOUT_REDIS says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from django.conf import settings
from django_ratelimit.core import get_usage

from chatbot.accounts.models import User
from chatbot.core.errors import RateLimited, Unavailable
from chatbot.core.stores import REDIS, RETRY_AFTER_S

# django-ratelimit reads the method and the headers of a request; the WebSocket has neither.
_NO_REQUEST = SimpleNamespace(method="POST", META={})


@dataclass(frozen=True, slots=True)
class RateStatus:
    limit: int
    remaining: int
    resets_in_s: int


def _usage(user: User, *, count: bool) -> tuple[RateStatus, bool]:
    limit = int(settings.SENDS_PER_MINUTE[user.plan])
    usage = get_usage(
        _NO_REQUEST,
        group="send",
        key=lambda _group, _request: str(user.pk),
        rate=f"{limit}/m",
        increment=count,
    )
    # The second in which a window ends still belongs to it.
    resets_in_s = usage["time_left"] + 1
    status = RateStatus(limit, max(0, limit - usage["count"]), resets_in_s)
    return status, usage["should_limit"]


def read_rate(user: User) -> RateStatus:
    return _usage(user, count=False)[0]


def count_send(user: User) -> RateStatus:
    """Count one send.

    Raises RateLimited, with when to try again, beyond the plan's limit; Unavailable where sends
    are refused while they cannot be counted for all processes together.
    """
    status, exceeded = _usage(user, count=True)
    if REDIS.is_noted and settings.RATE_LIMIT_WITHOUT_REDIS == "refuse":
        raise Unavailable(retry_after_s=RETRY_AFTER_S)
    if exceeded:
        raise RateLimited(retry_after_s=status.resets_in_s)
    return status
