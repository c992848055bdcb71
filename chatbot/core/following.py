"""What stands in the database and changes while processes run, brought into each of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from django.db.utils import Error

logger = logging.getLogger(__name__)

T = TypeVar("T")


async def follow(
    read: Callable[[], Awaitable[T]], use: Callable[[T], None], *, what: str, every_s: float
) -> None:
    """Read every so many seconds, and use what is other than before, until cancelled.

    While the database is away, or not migrated yet, what was read last holds; `what` names it in
    the log, as in "The model overrides".
    """
    known: T | None = None
    is_away = False
    while True:
        try:
            found = await read()
        except Error:
            if not is_away:
                logger.warning("%s cannot be read; what was read before holds", what)
            is_away = True
        else:
            is_away = False
            if found != known:
                known = found
                use(found)
        await asyncio.sleep(every_s)
