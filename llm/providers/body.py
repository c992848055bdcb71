"""The bytes of one answer, as they come over its connection."""

from __future__ import annotations

import asyncio

import aiohttp

from llm.errors import ProviderTimeout, StreamCut
from llm.providers.base import Timeouts
from llm.providers.pacing import Pacer

# How long a finished answer's connection may take to end its body and become free again.
LINGER_S = 0.5


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
        self._has_text = False
        self._is_waiting = False
        self._timer = self._loop.call_at(deadline, self._look)
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

    def _look(self) -> None:
        """End a wait that has lasted too long: one timer for all of an answer's texts."""
        now = self._loop.time()
        if now < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
        elif self._is_waiting:
            self._content.set_exception(ProviderTimeout())
        else:
            # It is the reader who is slow. The time starts anew when it comes back.
            self._timer = self._loop.call_at(now + self._token_s, self._look)
