"""The decoder of server-sent events, on every way a network can cut them up."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from llm.errors import MalformedStream
from llm.providers.sse import ServerSentEvent, SseDecoder

TWO_EVENTS = (
    '\ufeffevent: greeting\r\ndata: {"text": "hé 👋"}\r\n\r\n'
    ": a comment\n\n"
    "data: one\ndata:two\rdata:  three\nid: 7\nretry: 10\nunknown\n\n"
).encode()
DECODED = [
    ServerSentEvent("greeting", '{"text": "hé 👋"}'),
    ServerSentEvent("message", "one\ntwo\n three"),
]


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@pytest.mark.parametrize("offset", range(len(TWO_EVENTS) + 1))
def test_a_cut_at_any_offset_changes_nothing(offset):
    assert decode(TWO_EVENTS[:offset], TWO_EVENTS[offset:]) == DECODED


def test_bytes_may_come_one_at_a_time():
    assert decode(*(TWO_EVENTS[i : i + 1] for i in range(len(TWO_EVENTS)))) == DECODED


@given(st.lists(st.integers(0, len(TWO_EVENTS)), max_size=8))
def test_any_set_of_cuts_changes_nothing(cuts):
    edges = [0, *sorted(cuts), len(TWO_EVENTS)]
    assert decode(*(TWO_EVENTS[a:b] for a, b in itertools.pairwise(edges))) == DECODED


def data_for_json(*chunks: bytes) -> list[str]:
    decoder = SseDecoder()
    found = [data for chunk in chunks for data in decoder.feed_json(chunk)]
    return [data if isinstance(data, str) else data.decode() for data in found]


MIXED = (
    'event: a\ndata: {"text": "hé 👋"}\n\ndata: {}\n\n: comment\n\n'
    "event: b\r\ndata: {1}\r\n\r\ndata: {2\rdata: 3}\r\r"
    "data: {4\ndata: 5}\n\nevent: c\n\ndata: {6}\n\nother: x\ndata:{7}\n\ndata: {8}\n\n"
).encode()
MIXED_DATA = ['{"text": "hé 👋"}', "{}", "{1}", "{2\n3}", "{4\n5}", "{6}", "{7}", "{8}"]


@given(st.lists(st.integers(0, len(MIXED)), max_size=8))
def test_data_for_json_is_that_of_the_events_however_it_is_cut(cuts):
    edges = [0, *sorted(cuts), len(MIXED)]
    chunks = [MIXED[a:b] for a, b in itertools.pairwise(edges)]
    assert data_for_json(*chunks) == [event.data for event in decode(*chunks)] == MIXED_DATA


@pytest.mark.parametrize("offset", range(len(TWO_EVENTS) + 1))
def test_data_for_json_survives_a_cut_at_any_offset(offset):
    data = data_for_json(TWO_EVENTS[:offset], TWO_EVENTS[offset:])
    assert data == [event.data for event in DECODED]


def test_an_endless_plain_event_is_an_error():
    with pytest.raises(MalformedStream):
        list(SseDecoder(max_event_chars=100).feed_json(b"data: {" + b"x" * 200 + b"}\n\n"))


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_ending_ends_a_line(end):
    assert decode(end.join([b"event: a", b"data: b", b"", b""])) == [ServerSentEvent("a", "b")]


def test_an_event_without_its_empty_line_is_not_an_event():
    assert decode(b"data: half\n") == []


def test_an_event_without_data_is_not_an_event_and_leaves_no_name_behind():
    assert decode(b"event: a\n\ndata: b\n\n") == [ServerSentEvent("message", "b")]


def test_empty_data_is_an_event():
    assert decode(b"data\n\n") == [ServerSentEvent("message", "")]


def test_only_one_leading_space_is_removed():
    assert decode(b"data:   x\n\n")[0].data == "  x"


def test_a_byte_order_mark_counts_only_at_the_very_start():
    assert decode(b"data: a\n\n", "\ufeffdata: b\n\n".encode()) == [ServerSentEvent("message", "a")]


@pytest.mark.parametrize("junk", [b"data: \xff\n\n", b"data: \xc3\n\n", b"data: \xed\xa0\x80\n\n"])
def test_invalid_utf8_is_an_error_not_a_replacement(junk):
    with pytest.raises(MalformedStream):
        decode(junk)


@pytest.mark.parametrize(
    "chunk",
    [b"data: " + b"x" * 200, b"data: " + b"x" * 200 + b"\n", b"data: " + b"x" * 50 + b"\n"],
)
def test_an_endless_event_is_an_error(chunk):
    decoder = SseDecoder(max_event_chars=100)
    with pytest.raises(MalformedStream):
        for _ in range(3):
            decoder.feed(chunk)
