"""What finds search entries by their terms: GIN on PostgreSQL, FTS5 on SQLite."""

from typing import Any

from django.db import migrations

# How often a term occurs is not to be kept: it would say which word it is, and have common
# ones found by reading everything, arrays included. What was added lately is searched one by one, so there may be one megabyte of it.
#
# On SQLite it is an index of its own, kept in step by triggers; see section 4.4.3 of
# https://www.sqlite.org/fts5.html. What makes the table anew has to make the triggers anew.
_ADD = """
    INSERT INTO conversations_searchwords(rowid, terms) VALUES (new.id, new.terms);
"""
_REMOVE = """
    INSERT INTO conversations_searchwords(conversations_searchwords, rowid, terms)
        VALUES ('delete', old.id, old.terms);
"""
FORWARDS = {
    "postgresql": (
        # They do not compress.
        "ALTER TABLE conversations_searchentry ALTER COLUMN terms SET STORAGE EXTERNAL",
        "ALTER TABLE conversations_searchentry ALTER COLUMN terms SET STATISTICS 0",
        "CREATE INDEX search_entry_terms ON conversations_searchentry USING gin (terms)"
        " WITH (gin_pending_list_limit = 1024)",
    ),
    "sqlite": (
        "CREATE VIRTUAL TABLE conversations_searchwords USING fts5("
        " terms, content='conversations_searchentry', content_rowid='id',"
        " detail=none, columnsize=0, tokenize='ascii')",
        "CREATE TRIGGER search_entry_added AFTER INSERT ON conversations_searchentry"
        f" BEGIN {_ADD} END",
        "CREATE TRIGGER search_entry_gone AFTER DELETE ON conversations_searchentry"
        f" BEGIN {_REMOVE} END",
        "CREATE TRIGGER search_entry_changed AFTER UPDATE ON conversations_searchentry"
        f" BEGIN {_REMOVE} {_ADD} END",
    ),
}
BACKWARDS = {
    "postgresql": ("DROP INDEX search_entry_terms",),
    "sqlite": (
        "DROP TRIGGER search_entry_added",
        "DROP TRIGGER search_entry_gone",
        "DROP TRIGGER search_entry_changed",
        "DROP TABLE conversations_searchwords",
    ),
}


def add(apps: Any, schema_editor: Any) -> None:
    for statement in FORWARDS[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def drop(apps: Any, schema_editor: Any) -> None:
    for statement in BACKWARDS[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("conversations", "0007_search_index"),
    ]

    operations = [
        migrations.RunPython(add, drop),
    ]
