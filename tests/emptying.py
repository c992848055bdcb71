"""Emptying the database after a test that committed, at the cost of what the test wrote.

Django empties every table and then makes content types and permissions again, a tenth of a second
each time, which no test has changed. On PostgreSQL it also gives every table a new file.
"""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import TransactionTestCase

# What migrating makes, of what the code declares.
_KEPT = {model._meta.db_table for model in (ContentType, Permission)}


def empty_database() -> None:
    """Delete every row but those that migrating has made."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    names = map(connection.ops.quote_name, sorted(set(tables) - _KEPT))
    deletions = [f"DELETE FROM {name}" for name in names]  # noqa: S608 - Django's own names
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # No foreign key is checked, and nothing that forbids deletion is asked.
            cursor.execute(f"SET LOCAL session_replication_role = replica; {'; '.join(deletions)}")
            return
        cursor.execute("PRAGMA defer_foreign_keys = ON")
        for deletion in deletions:
            cursor.execute(deletion)


def empty_quickly() -> None:
    """Have every test that commits be followed by this from now on."""
    TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]


def _empty(_: TransactionTestCase) -> None:
    empty_database()
