"""The decoder of answers, on recorded bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm.errors import (
    ContextOverflow,
    EmptyAnswer,
    MalformedStream,
    ProviderOverloaded,
    StreamCut,
)
from llm.providers.anthropic_stream import AnthropicStream
from llm.types import Finished, StreamEvent, TextDelta, Usage
from tests.fakes.script import INVALID_UTF8, sse

FIXTURES = Path(__file__).parent / "fixtures"
ANTHROPIC = (FIXTURES / "anthropic.sse").read_bytes()
LLAMACPP = (FIXTURES / "llamacpp.sse").read_bytes()

ANTHROPIC_EVENTS: list[StreamEvent] = [
    TextDelta('Grüße — 你好 👩‍🚀!\n"Bye"'),
    Finished("end_turn", Usage(25, 15, cache_read_tokens=100, cache_write_tokens=12)),
]


def decode(*chunks: bytes) -> list[StreamEvent]:
    """Return the answer's text in one piece, and how it ended."""
    stream = AnthropicStream()
    events = [event for chunk in chunks for event in stream.feed(chunk)]
    events += stream.finish()
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return [TextDelta(text), *(event for event in events if isinstance(event, Finished))]


def answer(*events: bytes) -> bytes:
    usage = {"input_tokens": 3, "output_tokens": 0}
    return b"".join((sse("message_start", {"message": {"usage": usage}}), *events))


def text(value: object) -> bytes:
    return sse("content_block_delta", {"delta": {"type": "text_delta", "text": value}})


def test_reads_a_stream_of_the_documented_shape():
    assert decode(ANTHROPIC) == ANTHROPIC_EVENTS


def test_reads_a_stream_recorded_from_the_local_server():
    text, last = decode(LLAMACPP)
    assert isinstance(text, TextDelta)
    assert len(text.text) > 40
    assert last == Finished("max_tokens", Usage(33, 40))


@pytest.mark.parametrize("recorded", [ANTHROPIC, LLAMACPP], ids=["anthropic", "llamacpp"])
def test_a_cut_at_any_offset_changes_nothing(recorded):
    whole = decode(recorded)
    for offset in range(len(recorded) + 1):
        assert decode(recorded[:offset], recorded[offset:]) == whole


@pytest.mark.parametrize("recorded", [ANTHROPIC, LLAMACPP], ids=["anthropic", "llamacpp"])
def test_an_end_at_any_offset_is_a_cut_or_the_whole_answer(recorded):
    whole = decode(recorded)
    reason_known = recorded.index(b"\n\n", recorded.index(b"event: message_delta"))
    for offset in range(len(recorded)):
        if offset >= reason_known + 2:
            assert decode(recorded[:offset]) == whole
        else:
            with pytest.raises(StreamCut):
                decode(recorded[:offset])


def test_nothing_is_read_after_the_ending():
    assert decode(ANTHROPIC + b"data: junk\n\n") == ANTHROPIC_EVENTS


def test_a_stop_without_a_reason_is_a_cut():
    with pytest.raises(StreamCut):
        decode(answer(text("a"), sse("message_stop", {})))


def test_an_answer_without_text_is_an_error():
    ending = sse("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {}})
    with pytest.raises(EmptyAnswer):
        decode(answer(text(""), ending, sse("message_stop", {})))


@pytest.mark.parametrize("reason", ["a_reason_of_next_year", "x" * 10_000, "Ende\0", ""])
def test_a_reason_that_nobody_knows_is_some_other(reason):
    ending = sse("message_delta", {"delta": {"stop_reason": reason}, "usage": {}})
    *_, last = decode(answer(text("a"), ending, sse("message_stop", {})))
    assert last == Finished("other", Usage(3, 0))


def test_text_of_a_block_start_is_part_of_the_answer():
    block = sse("content_block_start", {"content_block": {"type": "text", "text": "So"}})
    assert list(AnthropicStream().feed(answer(block))) == [TextDelta("So")]


def test_all_the_text_of_one_read_comes_in_one_piece():
    whole = answer(text("a"), sse("ping", {}), text("b"), text("ü"))
    assert list(AnthropicStream().feed(whole)) == [TextDelta("abü")]


def test_an_ending_in_the_same_read_comes_after_the_text():
    assert list(AnthropicStream().feed(ANTHROPIC)) == ANTHROPIC_EVENTS


def test_text_before_junk_in_the_same_read_is_delivered():
    events = AnthropicStream().feed(answer(text("a"), INVALID_UTF8))
    assert next(events) == TextDelta("a")
    with pytest.raises(MalformedStream):
        next(events)


def test_text_before_an_error_in_the_same_read_is_delivered():
    error = sse("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}})
    events = AnthropicStream().feed(answer(text("a"), error))
    assert next(events) == TextDelta("a")
    with pytest.raises(ProviderOverloaded):
        next(events)


def test_an_overflow_inside_the_stream_is_recognised():
    error = sse("error", {"error": {"type": "x", "message": "Prompt is too long: 9 > 8"}})
    with pytest.raises(ContextOverflow):
        decode(answer(error))


@pytest.mark.parametrize(
    "junk",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b"data: 7\n\n",
        b'data: {"no":"type"}\n\n',
        b'data: {"type":"content_block_delta"}\n\n',
        b'data: {"type":"content_block_delta","delta":"x"}\n\n',
        b'data: {"type":"message_delta","delta":null}\n\n',
        text(None),
        text(5),
        sse("message_delta", {"delta": {}, "usage": {"output_tokens": "9"}}),
        sse("message_delta", {"delta": {}, "usage": {"output_tokens": -1}}),
        sse("message_delta", {"delta": {}, "usage": {"output_tokens": 2**31}}),
        sse("message_delta", {"delta": {"stop_reason": 5}, "usage": {}}),
    ],
)
def test_junk_is_malformed(junk):
    with pytest.raises(MalformedStream):
        decode(junk)
