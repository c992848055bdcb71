"""How a log line looks: key=value for people, one JSON object for machines.

Lines carry identifiers and never content.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from chatbot.core.db import DatabaseAway
from chatbot.core.stores import DATABASE

FOREIGN: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
]


def has_exception(record: logging.LogRecord) -> bool:
    """Pass what went wrong, and a database that is away once.

    A 503 that says "not ready" is an answer, counted by who asks.
    """
    if not record.exc_info:
        return False
    return not (DATABASE.is_noted and isinstance(record.exc_info[1], DatabaseAway))


def is_news(record: logging.LogRecord) -> bool:
    """Pass what the connection pool says until the database is known to be away."""
    return not DATABASE.is_noted


def without_trace(record: logging.LogRecord) -> bool:
    """Pass the line without its exception: the sentence says all of it."""
    record.exc_info = None
    return True


_RENDER: list[Processor] = (
    [
        # The richer formatters print local variables: what people said is in them.
        structlog.dev.ConsoleRenderer(
            colors=True, exception_formatter=structlog.dev.plain_traceback
        )
    ]
    if sys.stderr.isatty()
    else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
)

LINE: list[Processor] = [
    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    *_RENDER,
]
