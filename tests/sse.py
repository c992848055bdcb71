"""A reader of event streams that is not the product's own, to check the product with.

Written after WHATWG HTML, section 9.2: bytes are cut anywhere, and only CR and LF end a line,
whatever else Python takes for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

TERMINAL = {"done", "stopped", "halted", "failed"}

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Frame:
    id: str
    event: str
    data: Any


def decode_block(block: bytes) -> Frame | None:
    """Return the event that the lines between two empty ones make; None for a comment."""
    lines = [line for line in _LINE_END.split(block) if line and not line.startswith(b":")]
    fields = dict(line.decode().split(": ", 1) for line in lines)
    if not fields:
        return None
    return Frame(fields.get("id", ""), fields["event"], json.loads(fields["data"]))


async def read_frames(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Frame]:
    buffer = b""
    async for chunk in chunks:
        *blocks, buffer = (buffer + chunk).split(b"\n\n")
        for frame in _decode(blocks):
            yield frame


def _decode(blocks: list[bytes]) -> Iterator[Frame]:
    for block in blocks:
        frame = decode_block(block)
        if frame is not None:
            yield frame


def text_of(frames: list[Frame]) -> str:
    """Return what a reader that applied the events in order would show."""
    text = ""
    for frame in frames:
        if frame.event == "delta":
            text += frame.data["text"]
        elif frame.event == "snapshot":
            text = frame.data["text"]
    return text
