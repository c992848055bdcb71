"""A database that refuses certain statements for a while, as one that something is wrong with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.db import connection

from chatbot.core.db import db_call

RENEWALS = (
    "UPDATE OF lease_until ON conversations_generation",
    "OLD.state = 'running' AND NEW.state = 'running' AND NEW.attempt = OLD.attempt",
)
ENDS = ("UPDATE OF state ON conversations_generation", "NEW.state = 'completed'")
REPORTS = ("UPDATE OF seen ON conversations_worker", "NEW.name <> ''")


@asynccontextmanager
async def refusing(statements: tuple[str, str], *, state: str = "XX000") -> AsyncIterator[None]:
    """Refuse statements with this SQLSTATE; SQLite knows but one such error."""
    await db_call(_refuse, *statements, state)
    try:
        yield
    finally:
        await db_call(_allow, statements[0].rpartition(" ")[2])


def _refuse(change: str, condition: str, state: str) -> None:
    if connection.vendor == "sqlite":
        act = "BEGIN SELECT RAISE(ABORT, 'not now'); END"
        _execute(f"CREATE TRIGGER refusal BEFORE {change} WHEN {condition} {act}")
        return
    body = f"BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END"
    _execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    act = "EXECUTE FUNCTION refuse()"
    _execute(f"CREATE TRIGGER refusal BEFORE {change} FOR EACH ROW WHEN ({condition}) {act}")


def _allow(table: str) -> None:
    if connection.vendor == "sqlite":
        _execute("DROP TRIGGER refusal")
        return
    _execute(f"DROP TRIGGER refusal ON {table}")
    _execute("DROP FUNCTION refuse()")


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
