"""What the decoders of answers share: bytes in, text and one ending out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import orjson

from llm.errors import MalformedStream, ProviderError
from llm.providers.sse import SseDecoder
from llm.types import Finished, StreamEvent, TextDelta, Usage


class AnswerStream(ABC):
    """Decode one answer. Feed it bytes until they end, then call `finish`.

    What precedes a failure comes out before it and is never lost with it.
    """

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._stop_reason: str | None = None
        self._has_text = False
        self._has_opened = False
        self._ending: Finished | None = None

    @property
    def is_done(self) -> bool:
        return self._ending is not None

    @property
    def has_opened(self) -> bool:
        """Whether an answer was begun, with or without text."""
        return self._has_opened

    @property
    def has_stopped(self) -> bool:
        """Whether a reason for the end was told, and with it what all of it used."""
        return self._stop_reason is not None

    @property
    def announced(self) -> Usage | None:
        """The usage that was told so far, if the protocol tells some before the end."""
        return None

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Yield all the text that `chunk` completed, in one piece, then the ending if it is there.

        Raises MalformedStream, EmptyAnswer, or the provider's own in-stream error.
        """
        if self.is_done:
            return
        pieces: list[str] = []
        failure: ProviderError | None = None
        try:
            for data in self._sse.feed_json(chunk):
                if piece := self._decode(data):
                    pieces.append(piece)
                if self._ending is not None:
                    break
        except ProviderError as exc:
            failure = exc
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as exc:
            failure = MalformedStream()
            failure.__cause__ = exc
        if pieces:
            yield TextDelta("".join(pieces))
        if failure is not None:
            raise failure
        if self._ending is not None:
            yield self._ending

    def finish(self) -> Iterator[StreamEvent]:
        """Yield the ending if the bytes stopped after the stop reason; else raise StreamCut."""
        if self._ending is None:
            self._ending = self._end()
            yield self._ending

    @abstractmethod
    def _decode(self, data: bytes | str) -> str:
        """Return the text that an event adds to the answer; set the ending at the last one."""

    @abstractmethod
    def _end(self) -> Finished:
        """Return the ending. Raises StreamCut when no stop reason came, EmptyAnswer without text."""

    def _text(self, text: Any) -> str:
        if not isinstance(text, str):
            raise MalformedStream
        if text:
            self._has_text = True
        return text


# The name of a reason that the rest of the service does not know.
OTHER_REASON = "other"
# More than any model's window, and small enough that the counts of an answer's calls can be added
# up in a database's integer.
MAX_COUNT = 100_000_000


def read_count(value: Any) -> int:
    """Return a count of tokens. Raises MalformedStream for what is none."""
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise MalformedStream
    return value
