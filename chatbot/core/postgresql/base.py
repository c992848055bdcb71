"""Django's PostgreSQL with a pool that waits out a restart, and not what is away.

The pool lends what it has: after a restart that is a dozen dead connections, each good for one
failed request. It stops connecting where it failed, and whoever waits does so until they lose
patience. And with the server away every request would wait for its turn to fail.
"""

from __future__ import annotations

import select
import time
from typing import Any

from django.db import OperationalError as NotNow
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import Connection, OperationalError
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import PoolTimeout

from chatbot.core.postgresql.patience import PatientConnection
from chatbot.core.stores import DATABASE

# A restart takes a second or two: people wait for it, rather than being told to try again.
PATIENCE_S = 3.0


class ErrorWrapper(DatabaseErrorWrapper):
    """Django's, which also calls a server away that takes no writes (SQLSTATE 25006).

    It says so while a failover is under way, where psycopg speaks of an internal error. Of the
    other states of a server that is not ready, 57P01 to 57P03 and 53300, psycopg says it itself.
    """

    # The stubs do not know it.
    wrapper: Any

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if isinstance(exc_value, ReadOnlySqlTransaction):
            self.wrapper.errors_occurred = True
            if self.wrapper.connection is not None:
                # Not lent again: it may be another server by now that takes writes.
                self.wrapper.connection.close()
            raise NotNow(*exc_value.args).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    def __init__(self, settings_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        options = settings_dict["OPTIONS"]
        if options.get("pool"):
            pool = {**options["pool"], "connection_class": PatientConnection}
            settings_dict = {**settings_dict, "OPTIONS": {**options, "pool": pool}}
        super().__init__(settings_dict, *args, **kwargs)

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        return ErrorWrapper(self)

    def get_new_connection(self, conn_params: Any) -> Any:
        """Return a connection that the server has not closed.

        Fails at once where somebody else found the server away a moment ago.
        """
        if not DATABASE.may_try():
            raise OperationalError("The database was away a moment ago.")
        try:
            connection = self._lend(conn_params)
        except OperationalError as exc:
            DATABASE.note_failure(exc)
            raise
        DATABASE.note_answer()
        return connection

    def _lend(self, conn_params: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                connection = super().get_new_connection(conn_params)
            except PoolTimeout:
                # Asking again is what makes the pool connect again.
                if DATABASE.is_noted or time.monotonic() >= deadline:
                    raise
                continue
            if not self.pool or not was_closed_by_server(connection):
                return connection
            connection.close()
            # The pool makes another for one that comes back closed.
            self.pool.putconn(connection)


def was_closed_by_server(connection: Connection[Any]) -> bool:
    """Say whether the server said goodbye while the connection lay idle.

    Costs 1 µs. Asking the server would cost each unit of work a round trip: 110 µs on the
    loopback, 60 of them CPU.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    try:
        # What there is to read may be harmless, such as a changed parameter.
        while poll.poll(0):
            connection.pgconn.consume_input()
    except OperationalError:
        return True
    return False
