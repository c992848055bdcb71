"""The one event that ends a stream, always made from what the database holds."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conversations.eventlog import EventLog, Fenced, LogAway, LogLost, StreamKey
from conversations.events import Cursor, Event, EventType, hash_text
from conversations.models import Generation, State
from conversations.queries import read_answer
from conversations.views import view_usage
from moderation.policies import current_policy
from moderation.types import Category

logger = logging.getLogger(__name__)

HALT_NOTICE = "Withdrawn: this went against the rules of this service."


def halt_notice(category: Category) -> str:
    """Return what a person reads in place of an answer that was halted."""
    return current_policy().support_message if category is Category.SELF_HARM else HALT_NOTICE


def terminal_event(generation: Generation, message: dict[str, Any]) -> Event:
    """Return the terminal event of a generation that has ended with this message."""
    cursor = Cursor(generation.attempt, generation.last_seq)
    if generation.state == State.HALTED:
        # The answer's text is the notice by then.
        data = {"category": generation.error_code, "notice": message["content"] or HALT_NOTICE}
        return Event(cursor, EventType.HALTED, data)
    if generation.state == State.FAILED:
        error = {"code": generation.error_code, "message": generation.error_message}
        return Event(cursor, EventType.FAILED, {"error": error})
    if generation.state == State.STOPPED:
        return Event(cursor, EventType.STOPPED, {"message": message})
    return Event(cursor, EventType.DONE, _done(generation, message))


def _done(generation: Generation, message: dict[str, Any]) -> dict[str, Any]:
    text = message["content"]
    return {
        "stopReason": generation.stop_reason,
        "usage": view_usage(generation),
        "message": message,
        "sha256": None if text is None else hash_text(text),
    }


def replay_ended(generation: Generation) -> list[Event]:
    """Return an ended generation for a reader whose log is gone: its text, then its end.

    The text's id is the one before the terminal event's, so that order holds.
    """
    message = read_answer(generation)
    end = terminal_event(generation, message)
    text = "" if generation.state == State.HALTED else message["content"] or ""
    before = Cursor(end.cursor.attempt, end.cursor.seq - 1)
    return [Event(before, EventType.SNAPSHOT, {"text": text}), end]


@dataclass(frozen=True, slots=True)
class Ended:
    """A generation that ended outside a worker: its terminal event is still to be logged."""

    key: StreamKey
    events: list[Event]


async def forget_logs(keys: Iterable[StreamKey], log: EventLog) -> None:
    """Forget the logs of what was deleted.

    What a log that is away keeps cannot be read any more, and goes after its time.
    """
    try:
        for key in keys:
            await log.delete(key)
    except LogAway:
        logger.warning("The logs of what was deleted are left to expire")


async def log_ended(ended: Ended, log: EventLog) -> None:
    """Tell the readers of a generation that ended without a worker.

    Those whom a lost log keeps from hearing it are told from the database.
    """
    with suppress(Fenced, LogLost, LogAway):
        for event in ended.events:
            await log.append(ended.key, event)
