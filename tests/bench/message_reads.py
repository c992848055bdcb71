"""How often PostgreSQL looked into the table of messages."""

from __future__ import annotations

import asyncio

import psycopg

# A server process that is idle tells its counts after ten seconds.
COUNTS_AFTER_S = 11.0

_QUERY = """
SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0)
FROM pg_stat_user_tables WHERE relname = 'conversations_message'
"""


async def message_reads(database_url: str) -> int:
    """Return the number of scans of the table so far, by anybody, once all are counted."""
    await asyncio.sleep(COUNTS_AFTER_S)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (await connection.execute(_QUERY)).fetchone()
    if row is None:
        raise LookupError("There is no table of messages.")
    return int(row[0])
