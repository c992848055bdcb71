"""How tables are emptied after a test: what holds rows, and not what migrating alone fills."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management.color import Style
from django.db.backends.base.base import BaseDatabaseWrapper

# Django fills these again after each flush, by a hundred questions. No test changes them.
KEPT = frozenset({"django_content_type", "auth_permission"})


def empty_what_is_filled(
    style: Style, connection: BaseDatabaseWrapper, *, reset_sequences: bool, allow_cascade: bool
) -> list[str]:
    """Return the statements that empty the tables, as `django.core.management.sql.sql_flush` does.

    A few rows are deleted sooner than PostgreSQL truncates forty tables. Foreign keys are looked
    at when all is done, so the order does not matter.
    """
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    quote = connection.ops.quote_name
    looks = [
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})"  # noqa: S608 - our tables
        for table in sorted({*tables} - KEPT)
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        filled = [str(table) for (table,) in cursor.fetchall()]
    return [f"DELETE FROM {quote(table)}" for table in filled]  # noqa: S608 - our tables


def fill_nothing(*_: Any, **__: Any) -> None:
    """Leave out what follows a flush, as nothing is missing."""


def empty_quickly(patch: pytest.MonkeyPatch) -> None:
    """Have Django's test cases empty the tables in this way."""
    flush = "django.core.management.commands.flush"
    patch.setattr(f"{flush}.sql_flush", empty_what_is_filled)
    patch.setattr(f"{flush}.emit_post_migrate_signal", fill_nothing)
