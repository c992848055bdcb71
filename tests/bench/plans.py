"""Whether the database reads only what it returns, by its own account of each statement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

# Rows that a statement may look at in vain: the ends of ranges, and versions not yet vacuumed.
LOOKED_AT_IN_VAIN = 10
# psycopg prepares a statement after a few runs; see DATABASE_PREPARE.
OFTEN = 6
# A page's statements together: messages, generations, forks, and single rows.
ROWS_OF_ALL = 3
# What an index is read with, and what goes on with its rows.
_BY_INDEX = {"Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan"}
_BESIDES = {"Limit", "Sort", "Result", "Append", "Aggregate", "Incremental Sort"}


def complaints(read: Callable[[], object], *, most_rows: int) -> Iterator[str]:
    """Yield what is wrong with the plans of all that `read` asks the database.

    Every table is read by an index, nothing is looked at in vain, and no statement comes to more
    than `most_rows` rows at any step.
    """
    with CaptureQueriesContext(connection) as queries:
        read()
    for one in queries.captured_queries:
        sql = str(one["sql"])
        if not sql.startswith("SELECT"):
            continue
        check = _complaints_postgres if connection.vendor == "postgresql" else _complaints_sqlite
        yield from (f"{what}: {sql[-300:]}" for what in check(sql, most_rows))
    if connection.vendor == "postgresql":
        yield from _complaints_of_any_plan(read, most_rows * ROWS_OF_ALL)


def _complaints_of_any_plan(read: Callable[[], object], most_rows: int) -> Iterator[str]:
    """Yield what is wrong when PostgreSQL plans without knowing the values.

    It does so for statements that it has often run: then what an index is limited to has to be
    in the statement itself, or the index is not used.
    """
    for _ in range(OFTEN):
        read()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        scans, rows = _counts(cursor)
        read()
        scans, rows = (now - then for now, then in zip(_counts(cursor), (scans, rows), strict=True))
    if scans:
        yield "a table was read from end to end by a plan for any values"
    if rows > most_rows:
        yield f"a plan for any values read {rows} rows"


def _counts(cursor: Any) -> tuple[int, int]:
    """Return how often a table was read whole in this transaction, and the rows got by indexes."""
    cursor.execute(
        "SELECT sum(seq_scan)::int, sum(idx_tup_fetch)::int FROM pg_stat_xact_user_tables"
    )
    scans, rows = cursor.fetchone()
    return scans or 0, rows or 0


def _complaints_postgres(sql: str, most_rows: int) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        answer = cursor.fetchone()[0]
    plan = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    for node in _nodes(plan):
        if node["Node Type"] not in _BY_INDEX | _BESIDES:
            yield f"{node['Node Type']} on {node.get('Relation Name')}"
        removed = node.get("Rows Removed by Filter", 0) * node["Actual Loops"]
        if removed > LOOKED_AT_IN_VAIN:
            yield f"{removed} rows were looked at in vain"
        rows = node["Actual Rows"] * node["Actual Loops"]
        if rows > most_rows:
            yield f"{node['Node Type']} came to {rows:.0f} rows"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _complaints_sqlite(sql: str, most_rows: int) -> Iterator[str]:
    """SQLite tells no numbers: only that it searches by an index and sorts nothing large."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        steps = [str(row[-1]) for row in cursor.fetchall()]
    for step in steps:
        if step.startswith("SCAN"):
            yield step
        if "TEMP B-TREE" in step and "LIMIT 1" not in sql:
            yield step
