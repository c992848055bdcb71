"""A reader of event streams that is not the product's own, to check the product with."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

TERMINAL = {"done", "stopped", "halted", "failed"}


@dataclass(frozen=True)
class Frame:
    id: str
    event: str
    data: Any


async def read_frames(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Frame]:
    buffer = ""
    async for chunk in chunks:
        buffer += chunk.decode()
        while "\n\n" in buffer:
            block, _, buffer = buffer.partition("\n\n")
            fields = dict(
                line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
            )
            if fields:
                yield Frame(fields["id"], fields["event"], json.loads(fields["data"]))


def text_of(frames: list[Frame]) -> str:
    """Return what a reader that applied the events in order would show."""
    text = ""
    for frame in frames:
        if frame.event == "delta":
            text += frame.data["text"]
        elif frame.event == "snapshot":
            text = frame.data["text"]
    return text
