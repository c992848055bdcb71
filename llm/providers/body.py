"""The bytes of one answer, as they come over its connection."""

from __future__ import annotations

import asyncio

import aiohttp

from llm.errors import ProviderTimeout, StreamCut
from llm.providers.base import Timeouts
from llm.providers.pacing import Pacer

# How long a finished answer's connection may take to end its body and become free again.
LINGER_S = 0.5

# A process that stood still finds the time over and the text there: it is to be read first.
GRACE_S = 0.1

# How long a connection that was closed on our side can go unnoticed.
LOOK_S = 1.0


class AnswerBody:
    """Read one answer's body, in gathers once its text has begun.

    `deadline` is when the first text must have come, in the event loop's time. What does not
    bring text, as a ping, is not a sign of life.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        *,
        deadline: float,
        timeouts: Timeouts,
        pacer: Pacer,
    ) -> None:
        self._response = response
        self._content = response.content
        # Without one, the whole body is already here.
        connection = response.connection
        self._transport = connection.transport if connection is not None else None
        self._pacer = pacer
        self._token_s = timeouts.token_s
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._overdue: float | None = None
        self._has_text = False
        self._is_waiting = False
        self._timer = self._loop.call_at(min(deadline, self._loop.time() + LOOK_S), self._look)
        pacer.enter()

    async def read(self) -> bytes:
        """Return what has come, at least a byte; nothing at the end.

        Raises ProviderTimeout at the deadline, StreamCut when the connection was lost.
        """
        if self._has_text and self._transport is not None and not self._content.is_eof():
            self._pacer.hold(self._transport)
        self._is_waiting = True
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as exc:
            raise StreamCut from exc
        except RuntimeError as exc:
            # What aiohttp says to who begins to wait on a connection that was closed here.
            if not self._is_closing:
                raise
            raise StreamCut from exc
        finally:
            self._is_waiting = False

    def text_seen(self) -> None:
        """Wait as long again for the next text."""
        self._has_text = True
        self._deadline = self._loop.time() + self._token_s

    def close(self, *, is_finished: bool) -> None:
        """Give the connection up; a finished answer's is kept for the next, when it ends soon."""
        self._timer.cancel()
        self._pacer.leave()
        if not is_finished:
            self._response.close()
        elif not self._content.is_eof():
            # aiohttp frees the connection at the end of the body, read or not.
            linger = self._loop.call_later(LINGER_S, self._response.close)
            self._content.on_eof(linger.cancel)

    @property
    def _is_closing(self) -> bool:
        return self._transport is not None and self._transport.is_closing()

    def _look(self) -> None:
        """End a wait that has lasted too long, or that nobody else will end.

        One timer for all of an answer's texts. While its reader is busy, time does not run.
        """
        now = self._loop.time()
        due = self._deadline
        if now >= due:
            due = now + GRACE_S
            if self._is_waiting and not self._content.is_eof():
                if self._overdue == self._deadline:
                    self._content.set_exception(ProviderTimeout())
                    return
                self._overdue = self._deadline
        elif self._is_waiting and self._is_closing and not self._content.is_eof():
            # aiohttp closes a connection with broken framing, and leaves its reader waiting.
            self._content.set_exception(StreamCut())
            return
        self._timer = self._loop.call_at(min(due, now + LOOK_S), self._look)
