"""What travels between a generation and its readers, and what people may send.

The id of an event is `attempt-seq`: two integers, ordered, `seq` contiguous from 1 within an
attempt. Attempt 0 is the time in the queue.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal, LiteralString, NamedTuple
from unicodedata import category
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from chatbot.core.errors import InvalidCursor
from llm.catalog import MODEL_NAME

MAX_CONTENT_CHARS = 32_000
MAX_SYSTEM_PROMPT_CHARS = 8_000
MAX_TITLE_CHARS = 200
MAX_COMMENT_CHARS = 2_000
MAX_APPEAL_CHARS = 4_000
# The tokens are bounded too, where the models are known; see conversations.memory.
MAX_SUMMARY_CHARS = 8_000
MAX_FACT_CHARS = 500
MAX_FACTS = 30

# Two integers of up to ten digits: an attempt and a seq each fit a database integer.
_CURSOR = re.compile(r"(\d{1,10})-(\d{1,10})", re.ASCII)


class EventType(StrEnum):
    QUEUED = "queued"
    STARTED = "started"
    DELTA = "delta"
    SNAPSHOT = "snapshot"
    DONE = "done"
    STOPPED = "stopped"
    HALTED = "halted"
    FAILED = "failed"


TERMINAL = frozenset({EventType.DONE, EventType.STOPPED, EventType.HALTED, EventType.FAILED})


class Cursor(NamedTuple):
    """A place in an event log; `Cursor(0, 0)` is before everything.

    A tuple, because cursors are made and compared for every token of every reader.
    """

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"


START = Cursor(0, 0)


def parse_cursor(text: str | None) -> Cursor:
    """Read `attempt-seq`; nothing means the start. Raises InvalidCursor."""
    if not text:
        return START
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidCursor
    return Cursor(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Event:
    cursor: Cursor
    type: EventType
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL


def hash_text(text: str) -> str:
    """Return the SHA-256 of a final text, in hex, as the `done` event carries it."""
    return hashlib.sha256(text.encode()).hexdigest()


def fold_text(events: Iterable[Event], text: str = "") -> str:
    """Return the text that a reader has after these events, in order, from `text` on."""
    parts = [text]
    for event in events:
        if event.type is EventType.DELTA:
            parts.append(event.data["text"])
        elif event.type is EventType.SNAPSHOT:
            parts = [event.data["text"]]
    return "".join(parts)


def merge_deltas(events: Sequence[Event]) -> list[Event]:
    """Return the same text in fewer events: neighbouring deltas become one.

    The merged event carries the last id, so a reader's cursor is where it would have been.
    """
    if len(events) == 1:
        return list(events)
    merged: list[Event] = []
    run: list[str] = []
    for event in events:
        if event.type is EventType.DELTA:
            if run:
                merged.pop()
            run.append(event.data["text"])
            event = Event(event.cursor, EventType.DELTA, {"text": "".join(run)})
        else:
            run = []
        merged.append(event)
    return merged


@dataclass(frozen=True, slots=True)
class AtMost:
    """How many characters a text may have; one with more is refused with its size and the limit."""

    chars: int

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "maxLength": self.chars}

    def _check(self, text: str) -> str:
        if len(text) > self.chars:
            raise PydanticCustomError(
                "string_too_long",
                "{size} characters are too many; there may be {limit}",
                {"size": len(text), "limit": self.chars},
            )
        return text


def _refused(why: LiteralString) -> PydanticCustomError:
    # Of a ValueError people would read "Value error" before the reason.
    return PydanticCustomError("not_text", why)


def _clean(text: str) -> str:
    if "\0" in text:
        raise _refused("NUL characters are not text")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise _refused("lone surrogates are not text") from exc
    return text


def _not_blank(text: str) -> str:
    # Format characters such as the zero-width space show nothing either.
    if all(char.isspace() or category(char) == "Cf" for char in text):
        raise _refused("there is nothing in it")
    return text


CleanText = Annotated[str, AfterValidator(_clean)]
Content = Annotated[CleanText, AtMost(MAX_CONTENT_CHARS), AfterValidator(_not_blank)]
Title = Annotated[CleanText, AtMost(MAX_TITLE_CHARS)]
SystemPrompt = Annotated[CleanText, AtMost(MAX_SYSTEM_PROMPT_CHARS)]
AppealText = Annotated[CleanText, AtMost(MAX_APPEAL_CHARS), AfterValidator(_not_blank)]
Comment = Annotated[CleanText, AtMost(MAX_COMMENT_CHARS)]
Fact = Annotated[CleanText, AtMost(MAX_FACT_CHARS), AfterValidator(_not_blank)]
ModelName = Annotated[str, StringConstraints(pattern=f"^{MODEL_NAME}$")]
Seq = Annotated[int, Field(ge=1, le=2_147_483_647)]
# Visible ASCII, as in an HTTP header; long enough for a UUID or a hash.
_CLIENT_KEY = re.compile(r"[\x21-\x7e]{1,200}")
ClientKey = Annotated[str, StringConstraints(pattern=f"^{_CLIENT_KEY.pattern}$")]


def is_client_key(text: str) -> bool:
    return _CLIENT_KEY.fullmatch(text) is not None


class Request(BaseModel):
    """What people send: camelCase, nothing unknown, types taken literally."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class SendRequest(Request):
    content: Content
    model: ModelName | None = None
    parent_seq: Seq | None = None


class RegenerateRequest(Request):
    model: ModelName | None = None


class CreateConversation(Request):
    title: Title | None = None
    model: ModelName | None = None
    system_prompt: SystemPrompt | None = None


class ChangeConversation(Request):
    title: Title | None = None
    model: ModelName | None = None
    system_prompt: SystemPrompt | None = None
    pinned: bool | None = None
    archived: bool | None = None


class ChangeMemory(Request):
    """`version` is the one that was read; what is left out stays as it is."""

    version: Annotated[int, Field(ge=0, le=2_147_483_647)]
    summary: Annotated[CleanText, AtMost(MAX_SUMMARY_CHARS)] | None = None
    pinned_facts: Annotated[list[Fact], Field(max_length=MAX_FACTS)] | None = None


class ChangeMe(Request):
    custom_instructions: SystemPrompt | None = None


class MakeAppeal(Request):
    text: AppealText


class GiveFeedback(Request):
    rating: Literal["up", "down"] | None
    comment: Comment = ""


class SocketSend(SendRequest):
    conversation_id: Annotated[UUID, Field(strict=False)]
    client_id: ClientKey | None = None


class SocketRegenerate(RegenerateRequest):
    conversation_id: Annotated[UUID, Field(strict=False)]
    seq: Seq
    client_id: ClientKey | None = None


class SocketResume(Request):
    generation_id: Annotated[UUID, Field(strict=False)]
    after: Annotated[str, StringConstraints(max_length=24)] | None = None


class SocketStop(Request):
    generation_id: Annotated[UUID, Field(strict=False)]
