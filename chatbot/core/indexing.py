"""Indexes of large tables, made and dropped while the service writes to them.

A migration that uses these says `atomic = False`: PostgreSQL builds such an index outside any
transaction. One that was broken off leaves an invalid index, which is dropped by hand before
the migration runs again (PostgreSQL's manual, CREATE INDEX, "Building Indexes Concurrently").
SQLite has one writer at a time and builds them as always.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.migrations import AddIndex, RemoveIndex


class AddIndexOnline(AddIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        _kind(schema_editor, AddIndexConcurrently, AddIndex).database_forwards(
            self, app_label, schema_editor, *states
        )

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        _kind(schema_editor, AddIndexConcurrently, AddIndex).database_backwards(
            self, app_label, schema_editor, *states
        )


class RemoveIndexOnline(RemoveIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        _kind(schema_editor, RemoveIndexConcurrently, RemoveIndex).database_forwards(
            self, app_label, schema_editor, *states
        )

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        _kind(schema_editor, RemoveIndexConcurrently, RemoveIndex).database_backwards(
            self, app_label, schema_editor, *states
        )


def _kind(schema_editor: Any, concurrent: Any, plain: Any) -> Any:
    return concurrent if schema_editor.connection.vendor == "postgresql" else plain
