"""The event log this process uses."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from conversations.eventlog.base import EventLog
from conversations.eventlog.cluster import ClusterEventLog
from conversations.eventlog.memory import MemoryEventLog
from conversations.eventlog.redis import RedisEventLog


@cache
def get_event_log() -> EventLog:
    """Return the log in a cluster or in Redis where there is one, else the process's own."""
    if settings.EVENT_LOG_CLUSTER:
        return ClusterEventLog()
    return RedisEventLog() if settings.REDIS_URL else MemoryEventLog()
