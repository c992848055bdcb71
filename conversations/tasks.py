"""Celery front doors of the conversations; embedded mode runs the same ones in its own process."""

from __future__ import annotations

from celery import shared_task

from conversations.search.indexing import index_due

# Whoever waits for the next turn of the schedule waits no longer than for this one.
INDEX_S = 2.0


@shared_task(name="conversations.index_messages")
def index_messages() -> None:
    index_due(within_s=INDEX_S)
