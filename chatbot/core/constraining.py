"""Checks of large tables, made while the service writes to them.

PostgreSQL reads the whole table for a new check, and nobody writes meanwhile. One that is made
`NOT VALID` holds for what is written from then on, without that; a later migration validates it
beside writers (PostgreSQL's manual, ALTER TABLE). SQLite has one writer at a time and does it all
at once.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db.migrations import AddConstraint


class AddCheckForNew(AddConstraintNotValid):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        kind: Any = AddConstraintNotValid if _is_postgresql(schema_editor) else AddConstraint
        kind.database_forwards(self, app_label, schema_editor, *states)


class ValidateCheck(ValidateConstraint):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if _is_postgresql(schema_editor):
            super().database_forwards(app_label, schema_editor, *states)


def _is_postgresql(schema_editor: Any) -> bool:
    return bool(schema_editor.connection.vendor == "postgresql")
