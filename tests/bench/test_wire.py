from __future__ import annotations

import asyncio

import pytest

from tests.bench.doors import as_timing, decode_frames, decode_sse, in_our_words, is_last_frame
from tests.bench.frames import BINARY, PING, PONG, TEXT, SocketLine, encode_frame, split_frames
from tests.bench.wire import Received, body_pieces, is_response_end, status_and_body

CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n" + b"c\r\n, new\r\nworld\r\n" + b"0\r\n\r\n"
)
MEASURED = b'HTTP/1.1 409 Conflict\r\nContent-Length: 7\r\n\r\n{"a":1}'
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
EVENTS = (
    b': still here\n\nid: 1-2\nevent: delta\ndata: {"text":"Hi"}\n\n'
    b"id: 1-3\nevent: done\ndata: {}\n\n"
)
PROVIDER = (
    b'event: message_start\ndata: {"type":"message_start"}\n\n'
    b'event: content_block_delta\ndata: {"delta":{"text":"Hi"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def cut(data: bytes, at: int) -> list[bytes]:
    return [piece for piece in (data[:at], data[at:]) if piece]


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [(CHUNKED, 200, b"hello, new\r\nworld"), (MEASURED, 409, b'{"a":1}'), (EMPTY, 204, b"")],
)
def test_a_response_is_understood_wherever_it_is_cut(
    response: bytes, status: int, body: bytes
) -> None:
    for at in range(len(response)):
        pieces = cut(response, at)
        is_end = is_response_end()
        assert [is_end(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        received = Received(0.0, [(number, piece) for number, piece in enumerate(pieces)])
        assert status_and_body(received) == (status, body)


def test_a_body_keeps_the_times_of_its_pieces() -> None:
    middle = CHUNKED.index(b"c\r\n")
    received = Received(0.0, [(1.0, CHUNKED[:middle]), (2.0, CHUNKED[middle:])])
    assert [at for at, piece in body_pieces(received) if piece] == [1.0, 2.0]


def test_events_are_read_wherever_they_are_cut() -> None:
    for at in range(len(EVENTS)):
        happenings = decode_sse((number, piece) for number, piece in enumerate(cut(EVENTS, at)))
        assert [(one.id, one.event, one.data) for one in happenings] == [
            ("1-2", "delta", {"text": "Hi"}),
            ("1-3", "done", {}),
        ]


def test_a_provider_and_the_product_are_timed_alike() -> None:
    received = Received(1.0, [(1.5, PROVIDER)])
    timing = as_timing(received, in_our_words(decode_sse(received.pieces)))
    assert (timing.text, timing.end, timing.delta_s) == ("Hi", "done", [0.5])


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_any_length_are_read_wherever_they_are_cut(length: int) -> None:
    payload = b"x" * length
    masked = encode_frame(payload, BINARY)
    # A server's frame is a client's without its mask.
    start = len(masked) - length - 4
    frame = bytes([masked[0], masked[1] & 0x7F]) + masked[2:start] + payload
    for at in {0, 1, 2, 3, start, len(frame) - 1}:
        first, rest = split_frames(frame[:at])
        second, rest = split_frames(rest + frame[at:])
        assert [*first, *second] == [(BINARY, payload)]
        assert rest == b""


def test_a_refusal_by_websocket_is_a_failed_answer() -> None:
    payload = b'{"type":"error","error":{"code":"conflict"}}'
    assert is_last_frame(payload)
    (one,) = decode_frames([(1.0, payload)])
    assert one.event == "failed"


def test_text_cannot_look_like_the_end_of_an_answer() -> None:
    frame = b'{"text":"\\"type\\":\\"done\\"","type":"delta","id":"1-2"}'
    assert not is_last_frame(frame)
    assert split_frames(bytes([0x80 | TEXT, len(frame)]) + frame) == ([(TEXT, frame)], b"")


async def test_a_frame_that_nobody_asked_for_does_not_disturb_the_next_answer() -> None:
    notice, answer = b'{"type":"conversation.updated"}', b'{"type":"done"}'
    shaken, noticed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        await shaken.wait()
        frame = bytes([0x80 | TEXT, len(notice)]) + notice
        # The answer to the ping says that what came before it was read.
        writer.write(frame + bytes([0x80 | PING, 0]) + frame[:5])
        await reader.readexactly(len(encode_frame(b"", PONG)))
        noticed.set()
        await reader.readexactly(1)
        writer.write(frame[5:] + bytes([0x80 | TEXT, len(answer)]) + answer)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line = SocketLine(f"http://127.0.0.1:{port}", "/", {})
    await line.shake_hands()
    shaken.set()
    await noticed.wait()
    received = await line.exchange(encode_frame(b"?"), is_last_frame)
    line.close()
    await ended.wait()
    server.close()
    await server.wait_closed()
    assert [payload for _, payload in received.pieces] == [notice, answer]
