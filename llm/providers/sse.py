"""An incremental decoder for server-sent events: bytes in, events out.

Follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", except that
invalid UTF-8 and unbounded lines are errors: a replaced character would be a silent change of
the answer. Reconnection times and ids are ignored, as providers do not resume streams.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from llm.errors import MalformedStream

# Far above any event a provider sends, far below what could hurt a process with 500 streams.
MAX_EVENT_CHARS = 1_048_576

BOM = "\ufeff"

# An event as all providers send it: nothing but its name and one line of JSON.
PLAIN_EVENT = re.compile(rb"(?:event: [a-z_]+\n)?data: (\{[^\r\n]*+)\n\n")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event; `data` holds its data lines joined by newlines."""

    name: str
    data: str


class SseDecoder:
    """Turn arbitrary slices of an event stream into its events.

    Raises MalformedStream for invalid UTF-8 and for an event longer than `max_event_chars`.
    """

    def __init__(self, *, max_event_chars: int = MAX_EVENT_CHARS) -> None:
        self._max_event_chars = max_event_chars
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._pending: list[str] = []
        self._pending_chars = 0
        self._at_start = True
        self._after_cr = False
        self._name = ""
        self._data: list[str] = []
        self._data_chars = 0
        self._is_between_events = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that `chunk` completed, in order."""
        events = self._decode(chunk)
        self._is_between_events = not (
            self._pending
            or self._data
            or self._name
            or self._after_cr
            or self._at_start
            or self._utf8.getstate()[0]
        )
        return events

    def feed_json(self, chunk: bytes) -> Iterator[bytes | str]:
        """Yield the data of the events that `chunk` completed, for a decoder of JSON.

        Most come in a form so plain that they are only cut out here: whether their bytes are UTF-8
        is for the decoder of JSON to find.
        """
        at = 0
        if self._is_between_events:
            while (event := PLAIN_EVENT.match(chunk, at)) is not None:
                data = event[1]
                if len(data) > self._max_event_chars:
                    break
                self._at_start = False
                at = event.end()
                yield data
        if at < len(chunk):
            yield from [event.data for event in self.feed(chunk[at:])]

    def _decode(self, chunk: bytes) -> list[ServerSentEvent]:
        try:
            text = self._utf8.decode(chunk)
        except UnicodeDecodeError as exc:
            raise MalformedStream from exc
        if not text:
            return []
        if self._at_start:
            self._at_start = False
            text = text.removeprefix(BOM)
        if self._after_cr:
            # The CR already ended the line; a LF that follows belongs to it.
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        return self._split(text.replace("\r\n", "\n").replace("\r", "\n"))

    def _split(self, text: str) -> list[ServerSentEvent]:
        *lines, rest = text.split("\n")
        events: list[ServerSentEvent] = []
        if lines:
            if self._pending:
                lines[0] = "".join((*self._pending, lines[0]))
                self._pending.clear()
                self._pending_chars = 0
            for line in lines:
                if line:
                    self._field(line)
                elif (event := self._dispatch()) is not None:
                    events.append(event)
        if rest:
            self._pending.append(rest)
            self._pending_chars += len(rest)
            self._check_size(self._pending_chars)
        return events

    def _field(self, line: str) -> None:
        field, colon, value = line.partition(":")
        if colon and value[:1] == " ":
            value = value[1:]
        if field == "data":
            self._data_chars += len(value) + 1
            self._check_size(self._data_chars)
            self._data.append(value)
        elif field == "event":
            self._check_size(len(value))
            self._name = value

    def _dispatch(self) -> ServerSentEvent | None:
        name, data = self._name, self._data
        self._name = ""
        if not data:
            return None
        self._data = []
        self._data_chars = 0
        return ServerSentEvent(name=name or "message", data="\n".join(data))

    def _check_size(self, chars: int) -> None:
        if chars > self._max_event_chars:
            raise MalformedStream
