"""Who is asking: a bearer token, or the session cookie with its CSRF token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard
from uuid import UUID

from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from chatbot.accounts.limits import count_request
from chatbot.accounts.models import User
from chatbot.accounts.suspensions import find_suspension
from chatbot.accounts.tokens import find_user_by_token, is_token
from chatbot.core.db import db_call
from chatbot.core.errors import Forbidden, Unauthenticated
from chatbot.core.origin import is_own_origin

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CsrfFailed(Forbidden):
    code = "csrf_failed"
    sentence = "The page is out of date. Reload it and try again."


class Suspended(Forbidden):
    code = "suspended"
    sentence = "This account is suspended."

    @classmethod
    def of(cls, user_id: UUID) -> Suspended:
        """Return the refusal with why, until when, and whether an appeal may be made."""
        suspension = find_suspension(user_id)
        if suspension is None:
            return cls()
        until = suspension.until
        return cls(
            detail={
                "reason": suspension.reason,
                "until": until.isoformat() if until else None,
                "mayAppeal": suspension.appealed_at is None,
            }
        )


class ForeignOrigin(Forbidden):
    code = "foreign_origin"
    sentence = "This page may not connect here."


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseBase:
        raise CsrfFailed


def _no_response(request: HttpRequest) -> HttpResponseBase:
    return HttpResponseBase()


def bearer_token(authorization: str) -> str | None:
    """Return the token of an `Authorization: Bearer` header (RFC 6750, section 2.1)."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _may_enter(user: User | AnonymousUser | None) -> TypeGuard[User]:
    return isinstance(user, User) and user.is_active


def admit(user: User | AnonymousUser | None, *, even_suspended: bool = False) -> User:
    """Return the user if they may use the service. Raises Unauthenticated or Suspended.

    Reads the database for one who is suspended.
    """
    if not _may_enter(user):
        raise Unauthenticated
    if user.is_suspended and not even_suspended:
        raise Suspended.of(user.pk)
    return user


def _token_of(request: HttpRequest) -> str | None:
    return bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))


def carries_token(request: HttpRequest) -> bool:
    """Say whether a bearer token decides, good or bad, and no cookie does."""
    return _token_of(request) is not None


def _find_by_token(token: str, *, counts: bool, even_suspended: bool) -> User:
    user = admit(find_user_by_token(token), even_suspended=even_suspended)
    if counts:
        count_request(user)
    return user


async def _authenticate_token(token: str, *, counts: bool, even_suspended: bool = False) -> User:
    if not is_token(token):
        raise Unauthenticated
    return await db_call(_find_by_token, token, counts=counts, even_suspended=even_suspended)


def _authenticate_session(request: HttpRequest, *, counts: bool, even_suspended: bool) -> User:
    user = admit(get_user(request), even_suspended=even_suspended)
    if request.method not in SAFE_METHODS:
        if "X-CSRFToken" not in request.headers:
            # Django would look for a form field instead, in a body that may be no form.
            raise CsrfFailed
        _CsrfCheck(_no_response).process_view(request, _no_response, (), {})
    if counts:
        count_request(user)
    return user


async def authenticate(
    request: HttpRequest, *, counts: bool = False, even_suspended: bool = False
) -> User:
    """Return the person behind an API request.

    A bearer token, when sent, decides alone: a bad one is refused even with a good cookie.
    Raises Unauthenticated, CsrfFailed or Suspended; RateLimited when it `counts` as a request.
    """
    token = _token_of(request)
    if token is not None:
        return await _authenticate_token(token, counts=counts, even_suspended=even_suspended)
    if request.session.session_key is None:
        # Nobody's session: there is nothing to read.
        return _authenticate_session(request, counts=counts, even_suspended=even_suspended)
    return await db_call(
        _authenticate_session, request, counts=counts, even_suspended=even_suspended
    )


async def authenticate_counted(request: HttpRequest) -> User:
    """Return the person behind an API request that is no send, and count it."""
    return await authenticate(request, counts=True)


async def authenticate_even_suspended(request: HttpRequest) -> User:
    """Return the person behind one of the few calls that a suspended person may make."""
    return await authenticate(request, counts=True, even_suspended=True)


def _read_session(session: SessionBase, *, counts: bool) -> User:
    request = HttpRequest()
    # Read anew each time: a session that was ended elsewhere is over here too.
    # (Its class is asked for in this way because Channels wraps it in a lazy object.)
    request.session = session.__class__(session.session_key)
    user = admit(get_user(request))
    if counts:
        count_request(user)
    return user


async def authenticate_socket(
    headers: Sequence[tuple[bytes, bytes]], session: SessionBase | None, *, counts: bool = False
) -> User:
    """Return the person behind a WebSocket, as they are now; ask again before acting for them.

    A bearer token needs no Origin; a session cookie needs the site's own. Raises Unauthenticated,
    Suspended or ForeignOrigin; RateLimited when it `counts` as a request.
    """
    for name, value in headers:
        if name == b"authorization":
            token = bearer_token(value.decode("latin-1"))
            if token is not None:
                return await _authenticate_token(token, counts=counts)
    if session is None:
        raise Unauthenticated
    if not is_own_origin(headers):
        raise ForeignOrigin
    return await db_call(_read_session, session, counts=counts)
