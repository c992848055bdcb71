"""How long what runs now waits for one reply of the database, wherever its thread is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_reply_s: ContextVar[float | None] = ContextVar("reply_s", default=None)


def reply_patience_s() -> float | None:
    """Return the seconds to wait for a reply; None is as long as it takes."""
    return _reply_s.get()


@contextmanager
def bounded_replies(patience_s: float) -> Iterator[None]:
    """Bound each wait for the database in here, also on the threads that are started from here."""
    token = _reply_s.set(patience_s)
    try:
        yield
    finally:
        _reply_s.reset(token)
