"""The decoder of Chat Completions, on bytes of the documented shape."""

from __future__ import annotations

import pytest

from llm.errors import AnswerDeclined, ContextOverflow, MalformedStream, StreamCut
from llm.providers.openai_stream import OpenAiStream
from llm.types import Finished, StreamEvent, TextDelta, Usage
from tests.fakes.script import Script
from tests.fakes.voices import CHAT

SCRIPT = Script(cache_read_tokens=4)
WHOLE = b"".join(
    (
        CHAT.opening(SCRIPT, model="m", input_tokens=3),
        CHAT.delta("Grüße "),
        CHAT.ping,
        CHAT.delta("你好 👩‍🚀"),
        CHAT.closing(SCRIPT, input_tokens=3, output_tokens=2),
    )
)
EVENTS: list[StreamEvent] = [
    TextDelta("Grüße 你好 👩‍🚀"),
    Finished("end_turn", Usage(3, 2, cache_read_tokens=4)),
]
ENDED = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


def decode(*chunks: bytes) -> list[StreamEvent]:
    """Return the answer's text in one piece, and how it ended."""
    stream = OpenAiStream()
    events = [event for chunk in chunks for event in stream.feed(chunk)]
    events += stream.finish()
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return [TextDelta(text), *(event for event in events if isinstance(event, Finished))]


def test_a_cut_at_any_offset_changes_nothing():
    for offset in range(len(WHOLE) + 1):
        assert decode(WHOLE[:offset], WHOLE[offset:]) == EVENTS


def test_an_end_at_any_offset_before_the_finish_reason_is_a_cut():
    known = WHOLE.index(b"\n\n", WHOLE.index(b'"stop"')) + 2
    for offset in range(known):
        with pytest.raises(StreamCut):
            decode(WHOLE[:offset])


def test_an_answer_whose_usage_nobody_said_is_not_taken_for_a_free_one():
    (text, ending) = decode(CHAT.delta("Hi"), ENDED, b"data: [DONE]\n\n")
    assert text == TextDelta("Hi")
    assert ending == Finished("end_turn", Usage(0, 0), is_metered=False)


def test_nothing_is_read_after_the_ending():
    assert decode(WHOLE + b"data: junk\n\n") == EVENTS


def test_a_refusal_in_place_of_an_answer_is_declined():
    refusal = b'data: {"choices":[{"delta":{"refusal":"No."},"finish_reason":null}]}\n\n'
    with pytest.raises(AnswerDeclined):
        decode(refusal, ENDED, b"data: [DONE]\n\n")


def test_an_overflow_inside_the_stream_is_recognised():
    error = CHAT.failure({"code": "context_length_exceeded", "type": "x", "message": ""})
    with pytest.raises(ContextOverflow):
        decode(error)


def test_more_cached_tokens_than_the_prompt_has_never_lower_a_bill():
    usage = b'{"prompt_tokens":2,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}'
    end = b'data: {"choices":[],"usage":%s}\n\ndata: [DONE]\n\n' % usage
    assert decode(CHAT.delta("a"), ENDED, end)[1] == Finished(
        "end_turn", Usage(0, 1, cache_read_tokens=9)
    )


@pytest.mark.parametrize(
    "junk",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: 7\n\n",
        b'data: {"no":"choices"}\n\n',
        b'data: {"choices":[{"delta":null}]}\n\n',
        b'data: {"choices":[{"delta":{"content":5}}]}\n\n',
        b'data: {"choices":[{"delta":{},"finish_reason":5}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
    ],
)
def test_junk_is_malformed(junk):
    with pytest.raises(MalformedStream):
        decode(junk)
