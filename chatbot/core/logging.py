"""How a log line looks: key=value for people, one JSON object for machines.

Lines carry identifiers and never content.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

FOREIGN: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
]


def has_exception(record: logging.LogRecord) -> bool:
    """Pass what went wrong; a 503 that says "not ready" is an answer, counted by who asks."""
    return record.exc_info is not None


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
