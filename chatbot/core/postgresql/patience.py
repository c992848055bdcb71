"""A connection on which a caller may bound the wait for a reply (`chatbot.core.patience`).

A server that stands still keeps its sockets open, and its kernel acknowledges what it is sent: no
timeout of TCP, and none that the server would have to notice, ends the wait for a reply.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, OperationalError
from psycopg.abc import RV, PQGen

from chatbot.core.patience import reply_patience_s
from chatbot.core.stores import DATABASE

# As psycopg's own default: how often the wait looks for an interruption.
INTERVAL_S = 0.1


class PatientConnection(Connection[Any]):
    def wait(
        self, gen: PQGen[RV], interval: float = INTERVAL_S, timeout: float | None = None
    ) -> RV:
        """Wait as psycopg does, within the caller's patience; then the connection is closed."""
        patience_s = reply_patience_s()
        if patience_s is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, patience_s)
        except OperationalError as exc:
            # What the server itself refused has a code. Without one, no reply came.
            if exc.sqlstate is not None:
                raise
            # Closed here: a rollback on it would wait once more.
            self.pgconn.finish()
            DATABASE.note_failure(exc)
            raise OperationalError("The database did not answer in time.") from exc
