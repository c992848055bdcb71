"""Which statements are sent to the database, from any thread, and how it carries them out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

# The statement, and its parameters.
Statement = tuple[str, tuple[Any, ...]]
SMALL_PAGES = 20
MESSAGES = "conversations_message"
_BY_RANGE = {"Index Scan", "Index Only Scan"}


@contextmanager
def noted_statements() -> Iterator[list[Statement]]:
    """Note what is sent meanwhile, whichever connection it goes through."""
    noted: list[Statement] = []
    execute = CursorWrapper.execute

    def note(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        noted.append((str(sql), tuple(params or ())))
        return execute(self, sql, params)

    CursorWrapper.execute = note  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        CursorWrapper.execute = execute  # type: ignore[method-assign]


def wrong_plans(statements: Iterable[Statement]) -> Iterator[str]:
    """Yield what PostgreSQL does for these SELECTs beyond reading ranges of indexes.

    A table of a few pages it rightly reads whole: it is asked once more without, to show that it
    can. Of messages each range is read in the order of its index, and nothing is sorted.
    """
    if connection.vendor != "postgresql":
        return
    for sql, params in {one[0]: one for one in statements}.values():
        if not sql.startswith("SELECT"):
            continue
        wrong = {*_wrong_nodes(sql, params, "on"), *_wrong_nodes(sql, params, "off")}
        yield from (f"{what}: {sql[-200:]}" for what in sorted(wrong))


def _wrong_nodes(sql: str, params: tuple[Any, ...], whole_tables: str) -> Iterator[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL enable_seqscan = {whole_tables}")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        answer = cursor.fetchone()[0]
        plan = json.loads(answer) if isinstance(answer, str) else answer
        for node in _nodes(plan[0]["Plan"]):
            kind, table = node["Node Type"], node.get("Relation Name")
            if table and not _is_range(node, table) and not _is_small(cursor, table, kind):
                yield f"{kind} on {table}"


def _is_range(node: dict[str, Any], table: str) -> bool:
    if node["Node Type"] == "Bitmap Heap Scan":
        # Its index's part is a node below; what it finds comes in no order.
        return table != MESSAGES
    return node["Node Type"] in _BY_RANGE and "Index Cond" in node


def _is_small(cursor: Any, table: str, kind: str) -> bool:
    """Whether a table is read whole that has room on a few pages."""
    cursor.execute("SELECT relpages FROM pg_class WHERE relname = %s", [table])
    return kind == "Seq Scan" and cursor.fetchone()[0] <= SMALL_PAGES


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
