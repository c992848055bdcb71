from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from chatbot.core.errors import InvalidCursor
from conversations.events import (
    MAX_CONTENT_CHARS,
    START,
    Cursor,
    Event,
    EventType,
    SendRequest,
    merge_deltas,
    parse_cursor,
)


def delta(attempt: int, seq: int, text: str) -> Event:
    return Event(Cursor(attempt, seq), EventType.DELTA, {"text": text})


@given(st.integers(0, 9_999_999_999), st.integers(0, 9_999_999_999))
def test_a_cursor_reads_back_as_it_was_written(attempt: int, seq: int) -> None:
    assert parse_cursor(str(Cursor(attempt, seq))) == Cursor(attempt, seq)


@pytest.mark.parametrize(
    "text", ["1", "1-", "-1", "1-2-3", "a-b", "1-²", " 1-2", "1-2\n", "9" * 30]
)
def test_what_is_not_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        parse_cursor(text)


def test_no_cursor_is_the_start() -> None:
    assert parse_cursor(None) == parse_cursor("") == START


def test_cursors_order_by_attempt_before_seq() -> None:
    assert Cursor(1, 99) < Cursor(2, 1) < Cursor(2, 2)


@given(st.lists(st.tuples(st.booleans(), st.text()), max_size=20))
def test_merging_keeps_the_text_and_the_last_cursor(pieces: list[tuple[bool, str]]) -> None:
    events = [
        delta(1, seq, text)
        if is_delta
        else Event(Cursor(1, seq), EventType.SNAPSHOT, {"text": text})
        for seq, (is_delta, text) in enumerate(pieces, start=1)
    ]

    def read(run: list[Event]) -> str:
        text = ""
        for event in run:
            text = (
                event.data["text"]
                if event.type is EventType.SNAPSHOT
                else text + event.data["text"]
            )
        return text

    merged = merge_deltas(events)
    assert read(merged) == read(events)
    assert [event.cursor for event in merged[-1:]] == [event.cursor for event in events[-1:]]
    kinds = [event.type for event in merged]
    assert all(pair != (EventType.DELTA, EventType.DELTA) for pair in itertools.pairwise(kinds))


@pytest.mark.parametrize(
    "body",
    [
        {"content": ""},
        {"content": "  \n "},
        {"content": "a\0b"},
        {"content": "\ud800"},
        {"content": "x" * (MAX_CONTENT_CHARS + 1)},
        {"content": 5},
        {"content": "ok", "parentSeq": "1"},
        {"content": "ok", "parentSeq": 0},
        {"content": "ok", "model": "../etc"},
        {"content": "ok", "unknown": 1},
        {},
    ],
)
def test_a_bad_message_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SendRequest.model_validate(body)


def test_the_longest_message_is_accepted() -> None:
    content = "😀" * MAX_CONTENT_CHARS
    assert SendRequest.model_validate({"content": content}).content == content
