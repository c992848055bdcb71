"""The event log this process uses."""

from __future__ import annotations

from functools import cache

from conversations.eventlog.base import EventLog
from conversations.eventlog.memory import MemoryEventLog


@cache
def get_event_log() -> EventLog:
    return MemoryEventLog()
