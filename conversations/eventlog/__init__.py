"""The event log: one ordered, replayable stream per generation."""

from conversations.eventlog.base import (
    EventLog,
    Fenced,
    LogAway,
    LogLost,
    LogReader,
    LogWriter,
    StreamKey,
)
from conversations.eventlog.registry import get_event_log

__all__ = [
    "EventLog",
    "Fenced",
    "LogAway",
    "LogLost",
    "LogReader",
    "LogWriter",
    "StreamKey",
    "get_event_log",
]
